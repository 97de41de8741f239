-- Tables of the given schemas with many dead rows, or whose statistics are far behind, the worst first.
--
-- Counts are the server's own and may be a moment old. No row back: autovacuum keeps up.
-- Index: none, it is a view of the server's memory.
SELECT
    t.schemaname AS schema_name,
    t.relname AS table_name,
    t.n_live_tup AS live_rows,
    t.n_dead_tup AS dead_rows,
    t.n_mod_since_analyze AS changed_rows,
    t.n_dead_tup > %(rows)s::bigint + %(share)s::double precision * t.n_live_tup AS needs_vacuum,
    t.n_mod_since_analyze > %(rows)s::bigint + %(share)s::double precision * t.n_live_tup AS needs_analyze
FROM pg_stat_user_tables AS t
WHERE t.schemaname = ANY (%(schemas)s::text[])
  AND greatest(t.n_dead_tup, t.n_mod_since_analyze)
    > %(rows)s::bigint + %(share)s::double precision * t.n_live_tup
ORDER BY greatest(t.n_dead_tup, t.n_mod_since_analyze) DESC, t.schemaname, t.relname
LIMIT %(limit)s::integer
