-- Give back the jobs of workers whose lease is over; a job lost for the fifth time ends as failed,
-- because it probably kills its workers, and one that was asked to stop as aborted.
--
-- With worker_ids only theirs, whichever of the rest is dead. `what` begins the message of the history.
-- Any worker runs it, two at once share the rows by SKIP LOCKED. For a lease after a restart of the
-- server nobody is declared dead: an outage stops every heartbeat at once.
-- Index: jobs_running, from one worker id to the next: between two vacuums it holds an entry for
-- every run that is over, and only a walk in order takes those out of the way of the next one.
WITH RECURSIVE holders AS (
    (
        SELECT j.worker_id
        FROM {schema}.procrastinate_jobs AS j
        WHERE j.status = 'doing' AND j.worker_id IS NOT NULL
        ORDER BY j.worker_id
        LIMIT 1
    )
    UNION ALL
    SELECT (
        SELECT j.worker_id
        FROM {schema}.procrastinate_jobs AS j
        WHERE j.status = 'doing' AND j.worker_id > h.worker_id
        ORDER BY j.worker_id
        LIMIT 1
    )
    FROM holders AS h
    WHERE h.worker_id IS NOT NULL
), gone AS (
    SELECT h.worker_id
    FROM holders AS h
    LEFT JOIN {schema}.procrastinate_workers AS w ON w.id = h.worker_id
    LEFT JOIN {schema}.workers AS r ON r.id = h.worker_id
    WHERE h.worker_id IS NOT NULL
      AND (%(worker_ids)s::bigint[] IS NULL OR h.worker_id = ANY(%(worker_ids)s::bigint[]))
      AND (
          w.id IS NULL
          OR w.last_heartbeat < now() - make_interval(secs => coalesce(r.lease_seconds, 60))
      )
), held AS (
    SELECT j.id, j.worker_id
    FROM gone
    CROSS JOIN LATERAL (
        SELECT j.id, j.worker_id
        FROM {schema}.procrastinate_jobs AS j
        WHERE j.status = 'doing' AND j.worker_id = gone.worker_id
        OFFSET 0  -- by worker, whatever the statistics say
    ) AS j
    UNION ALL
    SELECT j.id, j.worker_id
    FROM {schema}.procrastinate_jobs AS j
    WHERE j.status = 'doing' AND j.worker_id IS NULL AND %(worker_ids)s::bigint[] IS NULL
), dead AS (
    SELECT
        j.id,
        CASE
            WHEN EXISTS (
                SELECT 1 FROM {schema}.cancel_requests AS c
                WHERE c.job_id = j.id AND c.claim = j.claim
            ) THEN 'aborted'
            WHEN j.lost + 1 >= 5 THEN 'failed'
            ELSE 'todo'
        END::{schema}.procrastinate_job_status AS next_status
    FROM {schema}.procrastinate_jobs AS j
    JOIN held ON held.id = j.id AND held.worker_id IS NOT DISTINCT FROM j.worker_id
    -- Said so that jobs_running does not fit: the rows are found by their ids.
    WHERE j.id = ANY(ARRAY(SELECT held.id FROM held)) AND j.status::text = 'doing'
      AND pg_postmaster_start_time() < now() - make_interval(secs => %(lease_seconds)s::double precision)
    FOR UPDATE OF j SKIP LOCKED
), rescued AS (
    UPDATE {schema}.procrastinate_jobs AS j
    SET status = dead.next_status,
        gate = CASE
            WHEN dead.next_status <> 'todo' THEN 0
            -- A fair one is claimed alone from its second loss on, whosever turn it is.
            ELSE {schema}.gate_of_v1(
                false, j.lock, j.limit_key, CASE WHEN j.lost = 0 THEN j.fair_key END
            )
        END,
        lost = j.lost + 1,
        place = NULL,
        abort_requested = false,
        finished_at = CASE WHEN dead.next_status <> 'todo' THEN now() END,
        -- A job with the same queueing lock may have come to wait since.
        queueing_lock = CASE WHEN NOT EXISTS (
            SELECT 1 FROM {schema}.procrastinate_jobs AS twin
            WHERE twin.queueing_lock = j.queueing_lock AND twin.status = 'todo'
        ) THEN j.queueing_lock END
    FROM dead
    WHERE j.id = dead.id
    RETURNING
        j.id, j.claim, j.attempts, j.lost, j.status, j.queue_name, j.task_name, j.worker_id,
        j.started_at, j.lock, j.limit_key, j.gate, j.priority, j.fair_key
), noted AS (
    INSERT INTO {schema}.attempts (
        job_id, claim, attempt, outcome, queue_name, task_name, worker_id, started_at,
        error_class, error_message, fingerprint
    )
    SELECT
        rescued.id, rescued.claim, rescued.attempts + 1, 'lost', rescued.queue_name,
        rescued.task_name, rescued.worker_id, rescued.started_at, 'WorkerLost',
        format('%%s; lost %%s of 5 times', %(what)s::text, rescued.lost),
        -- Nobody saw where it was: what kills its worker is told apart by task.
        left(md5('WorkerLost ' || rescued.task_name), 16)
    FROM rescued
), freed AS (
    INSERT INTO {schema}.lock_notes (lock)
    SELECT DISTINCT rescued.lock FROM rescued WHERE rescued.lock IS NOT NULL
), let_go AS (
    INSERT INTO {schema}.lock_notes (lock, is_limit)
    SELECT DISTINCT rescued.limit_key, true FROM rescued WHERE rescued.limit_key IS NOT NULL
), turns AS (
    INSERT INTO {schema}.fair_notes (queue_name, priority, fair_key)
    SELECT DISTINCT rescued.queue_name, rescued.priority, rescued.fair_key
    FROM rescued
    WHERE rescued.gate = 6
), woken AS (
    SELECT pg_notify('{schema}', q.queue_name)
    FROM (SELECT DISTINCT rescued.queue_name FROM rescued WHERE rescued.status = 'todo') AS q
)
SELECT
    rescued.id, rescued.queue_name, rescued.task_name, rescued.attempts, rescued.lost,
    rescued.status::text AS status, rescued.worker_id, (SELECT count(*) FROM woken) AS queues_woken
FROM rescued
