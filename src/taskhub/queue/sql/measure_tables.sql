-- How large the tables of the queue's schema are, the partitions of one added up, by name.
--
-- Rows are the server's own estimate. One row a table always. Index: none, the catalog is small.
SELECT
    coalesce(parent.relname, t.relname)::text AS table_name,
    sum(pg_total_relation_size(t.relid))::bigint AS bytes,
    sum(t.n_live_tup)::bigint AS live_rows,
    sum(t.n_dead_tup)::bigint AS dead_rows
FROM pg_stat_user_tables AS t
LEFT JOIN pg_inherits AS i ON i.inhrelid = t.relid
LEFT JOIN pg_class AS parent ON parent.oid = i.inhparent
WHERE t.schemaname = '{schema}'
GROUP BY 1
ORDER BY 1
