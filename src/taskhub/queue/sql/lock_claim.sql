-- Whether an attempt still owns its job, known for sure: it waits for whoever is changing the row, for
-- one the backend of a connection that broke while it committed.
--
-- No row back: the job has ended, or another worker has it.
-- Index: procrastinate_jobs_pkey.
SELECT true AS held
FROM {schema}.procrastinate_jobs
WHERE id = %(job_id)s::bigint
  AND worker_id = %(worker_id)s::bigint
  AND claim = %(claim)s::integer
  AND status = 'doing'
FOR UPDATE
