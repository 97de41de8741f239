-- Forget unique keys that no longer count, of the next ones by their job's id; with dry_run count them.
--
-- A job that failed or was cancelled keeps its key for as long as it can be retried. last_id is NULL where
-- there are no more. A key that another job takes in between stays.
-- Index: unique_keys_job_id, then for each procrastinate_jobs_pkey or one primary key of attempts.
WITH looked AS MATERIALIZED (
    SELECT
        k.job_id,
        NOT EXISTS (
            SELECT 1 FROM {schema}.procrastinate_jobs AS j
            WHERE j.id = k.job_id AND j.status::text <> 'succeeded'
        ) AND now() - make_interval(secs => k.keep_seconds) > greatest(k.taken_at, (
            SELECT max(a.finished_at) FROM {schema}.attempts AS a WHERE a.job_id = k.job_id
        )) AS is_due
    FROM {schema}.unique_keys AS k
    WHERE k.job_id > %(after_id)s::bigint
    ORDER BY k.job_id
    LIMIT %(limit)s::integer
), gone AS (
    DELETE FROM {schema}.unique_keys AS k
    USING looked
    WHERE k.job_id = looked.job_id
      AND looked.is_due
      AND NOT %(dry_run)s::boolean
    RETURNING k.job_id
)
SELECT
    max(looked.job_id) AS last_id,
    CASE
        WHEN %(dry_run)s::boolean THEN count(*) FILTER (WHERE looked.is_due)
        ELSE (SELECT count(*) FROM gone)
    END AS pruned
FROM looked
