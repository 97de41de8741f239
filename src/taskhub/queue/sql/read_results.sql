-- Where jobs stand, and how those that have ended did, for all who wait for one.
--
-- No row back for a job that there is not, or whose transaction has not committed.
-- Index: procrastinate_jobs_pkey; for ended ones the primary key of one partition of attempts. Each job
-- is looked up by itself, whatever the statistics say: LIMIT keeps the subqueries apart.
SELECT
    asked.id,
    coalesce(job.status, done.status) AS status,
    done.result,
    failed.error_class,
    failed.error_message
FROM unnest(%(job_ids)s::bigint[]) AS asked (id)
LEFT JOIN LATERAL (
    SELECT j.status::text AS status
    FROM {schema}.procrastinate_jobs AS j
    WHERE j.id = asked.id
    LIMIT 1
) AS job ON true
LEFT JOIN LATERAL (
    SELECT 'succeeded' AS status, a.result
    FROM {schema}.attempts AS a
    WHERE a.job_id = asked.id AND a.outcome = 'succeeded'
      AND (job.status IS NULL OR job.status = 'succeeded')
    LIMIT 1
) AS done ON true
LEFT JOIN LATERAL (
    SELECT a.error_class, a.error_message
    FROM {schema}.attempts AS a
    WHERE a.job_id = asked.id AND job.status IN ('failed', 'cancelled', 'aborted')
    ORDER BY a.claim DESC
    LIMIT 1
) AS failed ON true
WHERE coalesce(job.status, done.status) IS NOT NULL
