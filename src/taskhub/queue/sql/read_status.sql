-- Where a job stands. A job that succeeded has left the jobs table: its last attempt tells.
--
-- No row back: no such job, or its transaction has not committed.
-- Index: procrastinate_jobs_pkey, then the primary key of one partition of attempts.
SELECT j.status::text AS status
FROM {schema}.procrastinate_jobs AS j
WHERE j.id = %(job_id)s::bigint
UNION ALL
SELECT 'succeeded'
FROM {schema}.attempts AS a
WHERE a.job_id = %(job_id)s::bigint
  AND a.outcome = 'succeeded'
LIMIT 1
