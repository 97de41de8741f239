-- Store jobs under ids that reserve_jobs has given, in the caller's transaction.
--
-- The triggers on INSERT fire, defaults fill the other columns. The rows come as UTF-8, whatever
-- the caller's connection speaks.
COPY {schema}.procrastinate_jobs
    (id, queue_name, task_name, priority, lock, args, scheduled_at, limit_key, at_most)
FROM STDIN WITH (ENCODING 'UTF8')
