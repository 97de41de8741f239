-- Whether an attempt still owns its job: the fence. It locks nothing: the row may be held by nobody
-- else while it is running, and a rescue that comes between this and the commit has waited a lease.
--
-- No row back: the job was rescued, finished or deleted.
-- Index: procrastinate_jobs_pkey.
SELECT true AS held
FROM {schema}.procrastinate_jobs
WHERE id = %(job_id)s::bigint
  AND worker_id = %(worker_id)s::bigint
  AND claim = %(claim)s::integer
  AND status = 'doing'
