-- The next jobs below an id that run, newest first.
--
-- Index: jobs_running.
SELECT j.id
FROM {schema}.procrastinate_jobs AS j
WHERE j.status = 'doing'
  AND j.id < %(before_id)s::bigint
ORDER BY j.id DESC
LIMIT %(limit)s::integer
