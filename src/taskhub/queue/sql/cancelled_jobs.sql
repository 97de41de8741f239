-- Which of a worker's running jobs somebody asked to stop.
-- Index: idx_procrastinate_jobs_worker_not_null.
SELECT id
FROM {schema}.procrastinate_jobs
WHERE worker_id = %(worker_id)s::bigint
  AND status = 'doing'
  AND abort_requested
