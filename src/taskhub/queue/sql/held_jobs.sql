-- The jobs that a worker holds as far as the table knows.
--
-- One that the worker does not know was claimed on a connection that broke before it could say so.
-- Index: jobs_running.
SELECT
    j.id, j.queue_name, j.task_name, j.priority, j.lock, j.queueing_lock, j.args::text AS args,
    j.attempts, j.claim, j.lost, j.scheduled_at, j.version,
    j.expires_at <= clock_timestamp() AS is_expired, coalesce(j.place, j.id) AS place,
    NULL::double precision AS waited_seconds, j.trace
FROM {schema}.procrastinate_jobs AS j
WHERE j.worker_id = %(worker_id)s::bigint
  AND j.status = 'doing'
