-- How many dead rows the queue's own tables hold, as the server last counted. One row always.
-- Index: none, it is a view of the server's memory.
SELECT coalesce(sum(t.n_dead_tup), 0)::bigint AS dead_rows
FROM pg_stat_user_tables AS t
WHERE t.schemaname = '{schema}'
  AND t.relname IN ('procrastinate_jobs', 'lock_notes', 'procrastinate_workers')
