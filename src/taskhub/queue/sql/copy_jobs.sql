-- Store jobs under ids that reserve_jobs has given, in the caller's transaction.
--
-- The triggers on INSERT fire, defaults fill the other columns. The rows come as UTF-8, whatever
-- the caller's connection speaks.
COPY {schema}.procrastinate_jobs
    (
        id, args, lock, limit_key, fair_key, tokens, queue_name, task_name, priority,
        scheduled_at, at_most,
        is_strict, version, expires_at, trace
    )
FROM STDIN WITH (ENCODING 'UTF8')
