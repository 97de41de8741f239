-- Which job has a unique key, where it stands, and whether it keeps another one out; no row: none has it.
--
-- The key is judged by its job's state when somebody asks, so the end of a job costs nothing. What counts
-- is the asker's to say: a running job, any job within _unique_seconds of its defer, one that succeeded
-- within _cache_seconds. Plain SQL, without settings of its own, so that a caller's plan takes it in.
-- Index: unique_keys_pkey, procrastinate_jobs_pkey, for a cache the primary key of one part of attempts.
CREATE FUNCTION {schema}.key_holder_v1(
    _task_name text,
    _key text,
    _is_running_too boolean,
    _unique_seconds double precision,
    _cache_seconds double precision,
    OUT job_id bigint,
    OUT is_waiting boolean,
    OUT counts boolean
) RETURNS SETOF record
LANGUAGE sql
STABLE
ROWS 1
AS $$
    SELECT
        k.job_id,
        coalesce(j.status = 'todo', false),
        coalesce(j.status = 'todo' OR (j.status IN ('doing', 'aborting') AND _is_running_too), false)
            OR coalesce(
                k.taken_at + pg_catalog.make_interval(secs => _unique_seconds)
                > pg_catalog.clock_timestamp(), false
            )
            OR coalesce(
                coalesce(done.finished_at, CASE WHEN j.status = 'succeeded' THEN j.finished_at END)
                + pg_catalog.make_interval(secs => _cache_seconds) > pg_catalog.clock_timestamp(), false
            )
    FROM {schema}.unique_keys AS k
    LEFT JOIN {schema}.procrastinate_jobs AS j ON j.id = k.job_id
    LEFT JOIN LATERAL (
        SELECT a.finished_at
        FROM {schema}.attempts AS a
        WHERE _cache_seconds IS NOT NULL
          AND j.id IS NULL
          AND a.job_id = k.job_id
          AND a.outcome = 'succeeded'
        LIMIT 1
    ) AS done ON true
    WHERE k.task_name = _task_name
      AND k.key = _key
$$
