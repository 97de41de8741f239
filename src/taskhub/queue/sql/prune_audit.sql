-- Delete what the audit has of longer than audit_days ago, of the next rows above an id; with dry_run
-- count it.
--
-- last_id is NULL where there are no more.
-- Index: audit_pkey.
WITH looked AS MATERIALIZED (
    SELECT
        a.id,
        a.at < now() - make_interval(secs => %(audit_seconds)s::double precision) AS is_due
    FROM {schema}.audit AS a
    WHERE a.id > %(after_id)s::bigint
    ORDER BY a.id
    LIMIT %(limit)s::integer
), gone AS (
    DELETE FROM {schema}.audit AS a
    USING looked
    WHERE a.id = looked.id
      AND looked.is_due
      AND NOT %(dry_run)s::boolean
    RETURNING a.id
)
SELECT
    max(looked.id) AS last_id,
    CASE
        WHEN %(dry_run)s::boolean THEN count(*) FILTER (WHERE looked.is_due)
        ELSE (SELECT count(*) FROM gone)
    END AS pruned
FROM looked
