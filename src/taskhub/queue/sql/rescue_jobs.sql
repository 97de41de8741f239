-- Give back the jobs of workers whose lease is over; a job lost for the fifth time ends as failed,
-- because it probably kills its workers.
--
-- Any worker runs it, two at once share the rows by SKIP LOCKED. For a lease after a restart of the
-- server nobody is declared dead: an outage stops every heartbeat at once.
-- Index: idx_procrastinate_jobs_worker_not_null.
WITH dead AS (
    SELECT j.id
    FROM {schema}.procrastinate_jobs AS j
    LEFT JOIN {schema}.procrastinate_workers AS w ON w.id = j.worker_id
    LEFT JOIN {schema}.workers AS r ON r.id = j.worker_id
    WHERE j.status = 'doing'
      AND (
          w.id IS NULL
          OR w.last_heartbeat < now() - make_interval(secs => coalesce(r.lease_seconds, 60))
      )
      AND pg_postmaster_start_time() < now() - make_interval(secs => %(lease_seconds)s::double precision)
    FOR UPDATE OF j SKIP LOCKED
), rescued AS (
    UPDATE {schema}.procrastinate_jobs AS j
    SET status = CASE WHEN j.lost + 1 >= 5 THEN 'failed' ELSE 'todo' END::{schema}.procrastinate_job_status,
        lost = j.lost + 1,
        abort_requested = false,
        finished_at = CASE WHEN j.lost + 1 >= 5 THEN now() END,
        -- A job with the same queueing lock may have come to wait since.
        queueing_lock = CASE WHEN NOT EXISTS (
            SELECT 1 FROM {schema}.procrastinate_jobs AS twin
            WHERE twin.queueing_lock = j.queueing_lock AND twin.status = 'todo'
        ) THEN j.queueing_lock END
    FROM dead
    WHERE j.id = dead.id
    RETURNING
        j.id, j.claim, j.attempts, j.lost, j.status, j.queue_name, j.task_name, j.worker_id, j.started_at
), noted AS (
    INSERT INTO {schema}.attempts (
        job_id, claim, attempt, outcome, queue_name, task_name, worker_id, started_at,
        error_class, error_message
    )
    SELECT
        rescued.id, rescued.claim, rescued.attempts + 1, 'lost', rescued.queue_name,
        rescued.task_name, rescued.worker_id, rescued.started_at, 'WorkerLost',
        format('the worker stopped renewing its lease; lost %%s of 5 times', rescued.lost)
    FROM rescued
)
SELECT
    rescued.id, rescued.queue_name, rescued.task_name, rescued.attempts, rescued.lost,
    rescued.status::text AS status
FROM rescued
