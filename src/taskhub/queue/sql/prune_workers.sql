-- Delete from the registry workers that stopped long ago and ran nothing that the history still holds,
-- of the next ones above an id; with dry_run count them.
--
-- A run that was lost with its worker is noted after the worker stopped: a day is left for that.
-- last_id is NULL where there are no more.
-- Index: the primary keys of both workers' tables; attempts_finished_at for the time a worker lived.
WITH looked AS MATERIALIZED (
    SELECT
        r.id,
        NOT EXISTS (SELECT 1 FROM {schema}.procrastinate_workers AS w WHERE w.id = r.id)
            AND NOT EXISTS (
                SELECT 1
                FROM {schema}.attempts AS a
                WHERE a.worker_id = r.id
                  AND a.finished_at >= r.started_at
                  AND a.finished_at <= r.stopped_at + interval '1 day'
            ) AS is_due
    FROM {schema}.workers AS r
    WHERE r.id > %(after_id)s::bigint
      AND r.stopped_at < now() - make_interval(secs => %(history_seconds)s::double precision)
    ORDER BY r.id
    LIMIT %(limit)s::integer
), gone AS (
    DELETE FROM {schema}.workers AS r
    USING looked
    WHERE r.id = looked.id
      AND looked.is_due
      AND NOT %(dry_run)s::boolean
    RETURNING r.id
)
SELECT
    max(looked.id) AS last_id,
    CASE
        WHEN %(dry_run)s::boolean THEN count(*) FILTER (WHERE looked.is_due)
        ELSE (SELECT count(*) FROM gone)
    END AS pruned
FROM looked
