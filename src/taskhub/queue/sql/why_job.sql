-- One job as `why` begins with it, wherever it stands, with the clock that counts.
--
-- No row back: no such job, its transaction has not committed, or its history is gone.
-- Index: procrastinate_jobs_pkey, then the primary key of one partition of attempts.
SELECT
    j.id, j.task_name AS task, j.queue_name AS queue, j.status::text AS status, j.gate, j.priority,
    j.attempts, j.claim, j.lost, j.lock, j.is_strict, j.limit_key, j.at_most, coalesce(j.tokens, 1) AS tokens,
    j.fair_key, coalesce(j.version, 1) AS version, j.expires_at, j.abort_requested, j.deferred_at,
    j.scheduled_at, j.started_at, j.finished_at, j.worker_id,
    coalesce(j.place, j.id) AS place, now() AS now
FROM {schema}.procrastinate_jobs AS j
WHERE j.id = %(job_id)s::bigint
UNION ALL
SELECT
    a.job_id, a.task_name, a.queue_name, 'succeeded', 0, a.priority,
    a.attempt, a.claim, 0, a.lock, false, NULL, NULL, 1,
    NULL, coalesce(a.version, 1), NULL, false, a.deferred_at,
    NULL, a.started_at, a.finished_at, a.worker_id, a.job_id, now()
FROM {schema}.attempts AS a
WHERE a.job_id = %(job_id)s::bigint
  AND a.outcome = 'succeeded'
LIMIT 1
