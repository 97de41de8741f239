-- Delete what is kept to search jobs by, of jobs that are gone, of the next rows above an id; with dry_run
-- count it.
--
-- last_id is NULL where there are no more. A job's rows are looked at together.
-- Index: job_args_pkey; procrastinate_jobs_pkey and the primary keys of attempts.
WITH looked AS MATERIALIZED (
    SELECT
        a.job_id,
        NOT EXISTS (SELECT FROM {schema}.procrastinate_jobs AS j WHERE j.id = a.job_id)
            AND NOT EXISTS (SELECT FROM {schema}.attempts AS t WHERE t.job_id = a.job_id) AS is_due
    FROM (
        SELECT DISTINCT k.job_id
        FROM {schema}.job_args AS k
        WHERE k.job_id > %(after_id)s::bigint
        ORDER BY k.job_id
        LIMIT %(limit)s::integer
    ) AS a
), gone AS (
    DELETE FROM {schema}.job_args AS a
    USING looked
    WHERE a.job_id = looked.job_id
      AND looked.is_due
      AND NOT %(dry_run)s::boolean
    RETURNING a.job_id
)
SELECT
    max(looked.job_id) AS last_id,
    CASE
        WHEN %(dry_run)s::boolean THEN count(*) FILTER (WHERE looked.is_due)
        ELSE (SELECT count(DISTINCT gone.job_id) FROM gone)
    END AS pruned
FROM looked
