-- One job with its arguments, wherever it stands: the jobs table, or the history if it succeeded.
--
-- No row back: no such job, its transaction has not committed, or its history is gone.
-- Index: procrastinate_jobs_pkey, then the primary key of one partition of attempts; unique_keys_job_id.
SELECT
    j.id, j.task_name AS task, j.queue_name AS queue, j.status::text AS status, j.attempts, j.lost,
    j.priority, j.lock, j.queueing_lock, j.args, NULL::jsonb AS result, j.version,
    j.expires_at, j.abort_requested,
    j.deferred_at, j.scheduled_at, j.started_at, j.finished_at, j.worker_id,
    (SELECT k.key FROM {schema}.unique_keys AS k WHERE k.job_id = j.id) AS unique_key,
    -- W3C writes version-trace-span-flags, two, 32, 16 and two hex digits.
    split_part(j.trace::json ->> 'traceparent', '-', 2) AS trace_id
FROM {schema}.procrastinate_jobs AS j
WHERE j.id = %(job_id)s::bigint
UNION ALL
SELECT
    a.job_id, a.task_name, a.queue_name, 'succeeded', a.attempt, 0,
    a.priority, a.lock, a.queueing_lock, a.args, a.result, a.version, NULL, false,
    a.deferred_at, NULL, a.started_at, a.finished_at, a.worker_id,
    (SELECT k.key FROM {schema}.unique_keys AS k WHERE k.job_id = a.job_id),
    NULL
FROM {schema}.attempts AS a
WHERE a.job_id = %(job_id)s::bigint
  AND a.outcome = 'succeeded'
LIMIT 1
