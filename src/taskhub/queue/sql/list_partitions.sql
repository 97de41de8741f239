-- The tables that hold the history, by the ids in them, and how far each is from being dropped.
--
-- attached: part of the history. pending: a DETACH .. CONCURRENTLY was broken off while it waited for
-- readers. detached: no part of it any more. The bounds of a detached one are unknown.
-- No row back: the history has no partition yet.
-- Index: those of the catalog.
SELECT
    c.relname::text AS name,
    CASE
        WHEN i.inhrelid IS NULL THEN 'detached'
        WHEN i.inhdetachpending THEN 'pending'
        ELSE 'attached'
    END AS state,
    bounds.found[1]::bigint AS first_id,
    bounds.found[2]::bigint AS end_id,
    pg_total_relation_size(c.oid) AS size_bytes
FROM pg_class AS c
LEFT JOIN pg_inherits AS i
    ON i.inhrelid = c.oid
   AND i.inhparent = '{schema}.attempts'::regclass
CROSS JOIN LATERAL (
    SELECT regexp_match(
        pg_get_expr(c.relpartbound, c.oid), 'FROM \(''([0-9]+)''\) TO \(''([0-9]+)''\)'
    ) AS found
) AS bounds
WHERE c.relnamespace = '{schema}'::regnamespace
  AND c.relkind = 'r'
  AND c.relname ~ '^attempts_[0-9]+$'
ORDER BY length(c.relname), c.relname
