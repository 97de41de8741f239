-- Cancel jobs that wait and leave a request with those that run, all in the caller's transaction.
--
-- No row back for a job that has ended or never was. In the order of their ids, so that two callers
-- cannot deadlock over them.
-- Index: procrastinate_jobs_pkey.
SELECT c.id, j.task_name, c.queue_name, c.status
FROM (
    SELECT DISTINCT u.id FROM unnest(%(job_ids)s::bigint[]) AS u (id) ORDER BY u.id
) AS asked
CROSS JOIN LATERAL {schema}.cancel_v1(asked.id, %(reason)s::text) AS c
JOIN {schema}.procrastinate_jobs AS j ON j.id = c.id
WHERE c.id IS NOT NULL
