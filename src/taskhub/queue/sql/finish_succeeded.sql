-- Move jobs that succeeded out of the jobs table into the history, many at once.
--
-- A job that does not come back was not ours any more: rescued, or stored by an earlier try.
-- Index: procrastinate_jobs_pkey; status::text keeps the planner off the partial indexes.
WITH done AS (
    SELECT d.job_id, d.claim, d.result
    FROM unnest(%(job_ids)s::bigint[], %(claims)s::integer[], %(results)s::text[])
        AS d (job_id, claim, result)
), gone AS (
    DELETE FROM {schema}.procrastinate_jobs AS j
    USING done
    WHERE j.id = done.job_id
      AND j.claim = done.claim
      AND j.worker_id = %(worker_id)s::bigint
      AND j.status::text = 'doing'
    RETURNING
        j.id, j.claim, j.attempts, j.queue_name, j.task_name, j.started_at, j.priority, j.lock,
        j.deferred_at, j.args, done.result
)
INSERT INTO {schema}.attempts (
    job_id, claim, attempt, outcome, queue_name, task_name, worker_id, started_at, finished_at,
    priority, lock, deferred_at, args, result
)
SELECT
    gone.id, gone.claim, gone.attempts + 1, 'succeeded', gone.queue_name, gone.task_name,
    %(worker_id)s::bigint, gone.started_at, clock_timestamp(), gone.priority, gone.lock,
    gone.deferred_at, gone.args, gone.result::jsonb
FROM gone
RETURNING job_id
