-- Delete procrastinate's event rows of jobs that are gone, of the next ones above an id; with dry_run
-- count them. They stay as long as the history does.
--
-- last_id is NULL where there are no more.
-- Index: the primary keys of procrastinate_events and procrastinate_jobs.
WITH looked AS MATERIALIZED (
    SELECT
        e.id,
        e.at < now() - make_interval(secs => %(history_seconds)s::double precision)
            AND NOT EXISTS (
                SELECT 1 FROM {schema}.procrastinate_jobs AS j WHERE j.id = e.job_id
            ) AS is_due
    FROM {schema}.procrastinate_events AS e
    WHERE e.id > %(after_id)s::bigint
    ORDER BY e.id
    LIMIT %(limit)s::integer
), gone AS (
    DELETE FROM {schema}.procrastinate_events AS e
    USING looked
    WHERE e.id = looked.id
      AND looked.is_due
      AND NOT %(dry_run)s::boolean
    RETURNING e.id
)
SELECT
    max(looked.id) AS last_id,
    CASE
        WHEN %(dry_run)s::boolean THEN count(*) FILTER (WHERE looked.is_due)
        ELSE (SELECT count(*) FROM gone)
    END AS pruned
FROM looked
