-- Jobs that run, the longest first.
--
-- No row back: none runs. Index: jobs_running; what runs is as many as the workers have slots.
SELECT
    j.id, j.task_name AS task, j.queue_name AS queue, j.status::text AS status, j.attempts,
    j.priority, j.lock, j.deferred_at, j.scheduled_at, j.started_at, j.finished_at, j.worker_id,
    NULL::text AS error_class, NULL::text AS error_message, NULL::text AS fingerprint
FROM {schema}.procrastinate_jobs AS j
WHERE j.status = 'doing'
ORDER BY j.started_at, j.id
LIMIT %(limit)s::integer
