-- Delete how far jobs were that have left the jobs table, of the next ones above an id; with dry_run
-- count them. It stays as long as the history does.
--
-- last_id is NULL where there are no more.
-- Index: the primary keys of progress and procrastinate_jobs.
WITH looked AS MATERIALIZED (
    SELECT
        p.job_id,
        p.at < now() - make_interval(secs => %(history_seconds)s::double precision)
            AND NOT EXISTS (
                SELECT 1 FROM {schema}.procrastinate_jobs AS j WHERE j.id = p.job_id
            ) AS is_due
    FROM {schema}.progress AS p
    WHERE p.job_id > %(after_id)s::bigint
    ORDER BY p.job_id
    LIMIT %(limit)s::integer
), gone AS (
    DELETE FROM {schema}.progress AS p
    USING looked
    WHERE p.job_id = looked.job_id
      AND looked.is_due
      AND NOT %(dry_run)s::boolean
    RETURNING p.job_id
)
SELECT
    max(looked.job_id) AS last_id,
    CASE
        WHEN %(dry_run)s::boolean THEN count(*) FILTER (WHERE looked.is_due)
        ELSE (SELECT count(*) FROM gone)
    END AS pruned
FROM looked
