-- Store jobs, given as one JSON array of objects, in the caller's transaction.
--
-- One text parameter serves every driver, psycopg, asyncpg and psycopg2, and one job or a thousand.
-- A delay counts from now on the database's clock, not from the start of the transaction.
-- Ids come back in the order of the array.
INSERT INTO {schema}.procrastinate_jobs
    (
        queue_name, task_name, priority, lock, queueing_lock, args, scheduled_at, limit_key, at_most,
        fair_key, tokens, is_strict, version, expires_at, trace
    )
SELECT
    job.queue_name,
    job.task_name,
    job.priority,
    job.lock,
    job.queueing_lock,
    job.args::jsonb,
    coalesce(job.at, clock_timestamp() + make_interval(secs => job.delay_seconds)),
    job.limit_key,
    job.at_most,
    job.fair_key,
    job.tokens,
    coalesce(job.is_strict, false),
    job.version,
    coalesce(job.expires_at, clock_timestamp() + make_interval(secs => job.expires_seconds)),
    job.trace
FROM ROWS FROM (
    json_to_recordset(%(jobs)s::text::json) AS (
        queue_name varchar,
        task_name varchar,
        priority integer,
        lock text,
        queueing_lock text,
        args text,
        delay_seconds double precision,
        at timestamptz,
        limit_key text,
        at_most integer,
        fair_key text,
        tokens integer,
        is_strict boolean,
        version integer,
        expires_seconds double precision,
        expires_at timestamptz,
        trace text
    )
) WITH ORDINALITY AS job
ORDER BY job.ordinality
RETURNING id
