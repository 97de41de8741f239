-- Store jobs with unique keys, given as insert_jobs takes them, in the caller's transaction.
--
-- A row for each, in their order: the id of its job, and whether that is a new one. Keys that are held are
-- found without a lock. The others are taken in sorted order, so that two calls cannot block one another;
-- where somebody has taken one in an open transaction, this waits for its end, for _lock_timeout or five
-- seconds, whichever is less. Waiting in vain, a deadlock, and REPEATABLE READ, which may not see who was
-- first, undo what was taken here and give one row without id: the caller's transaction goes on.
-- SECURITY DEFINER: a role that may call this needs no rights on the keys.
-- Index: as key_holder_v1.
CREATE FUNCTION {schema}.defer_unique_v1(_jobs text, _lock_timeout text)
RETURNS TABLE (id bigint, is_new boolean, refused_by text, unique_key text)
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = {schema}, pg_catalog, pg_temp
SET lock_timeout = '5s'
{planner}
AS $$
#variable_conflict use_column
DECLARE
    _ask record;
    _new_id bigint;
    _held record;
    _key text;
    _ids bigint[] := '{}';     -- at the place of a key's first job: whose it is
    _stored bigint[] := '{}';  -- at the place of a job to be stored: its id
    _is_new boolean[] := '{}';
BEGIN
    IF _lock_timeout <> '0' AND _lock_timeout::interval < interval '5s' THEN
        PERFORM set_config('lock_timeout', _lock_timeout, true);
    END IF;
    BEGIN
        FOR _ask IN
            SELECT asked.*
            FROM (
                -- Ids in the order of the jobs: it is the one in which they run.
                SELECT
                    one.*, h.job_id, h.is_waiting, coalesce(h.counts, false) AS counts,
                    CASE WHEN h.counts THEN NULL ELSE nextval('procrastinate_jobs_id_seq') END AS new_id
                FROM (
                    SELECT
                        j.task_name, j.unique_key, min(j.place) AS place, max(j.place) AS last_place,
                        bool_or(j.unique_running) AS unique_running,
                        coalesce(bool_or(j.unique_replace), false) AS replaces,
                        max(j.unique_seconds) AS unique_seconds, max(j.cache_seconds) AS cache_seconds
                    FROM ROWS FROM (
                        json_to_recordset(_jobs::json) AS (
                            task_name text, unique_key text, unique_running boolean,
                            unique_replace boolean, unique_seconds double precision,
                            cache_seconds double precision
                        )
                    ) WITH ORDINALITY AS j (
                        task_name, unique_key, unique_running, unique_replace, unique_seconds,
                        cache_seconds, place
                    )
                    GROUP BY j.task_name, j.unique_key
                ) AS one
                LEFT JOIN LATERAL {schema}.key_holder_v1(
                    one.task_name, one.unique_key, one.unique_running, one.unique_seconds,
                    one.cache_seconds
                ) AS h ON true
                ORDER BY one.place
            ) AS asked
            ORDER BY asked.task_name, asked.unique_key
        LOOP
            _key := _ask.unique_key;
            _new_id := _ask.new_id;
            _held := _ask;
            LOOP
                IF NOT _held.counts THEN
                    _new_id := coalesce(_new_id, nextval('procrastinate_jobs_id_seq'));
                    INSERT INTO unique_keys AS k
                        (task_name, key, job_id, previous_job_id, taken_at, keep_seconds)
                    VALUES (
                        _ask.task_name, _key, _new_id, _held.job_id, clock_timestamp(),
                        greatest(_ask.unique_seconds, _ask.cache_seconds, 0)
                    )
                    ON CONFLICT ON CONSTRAINT unique_keys_pkey DO UPDATE
                    SET job_id = excluded.job_id,
                        previous_job_id = excluded.previous_job_id,
                        taken_at = excluded.taken_at,
                        keep_seconds = excluded.keep_seconds
                    WHERE k.job_id = excluded.previous_job_id;
                    IF FOUND THEN
                        _ids[_ask.place] := _new_id;
                        _is_new[_ask.place] := true;
                        _stored[CASE WHEN _ask.replaces THEN _ask.last_place ELSE _ask.place END] := _new_id;
                        EXIT;
                    END IF;
                ELSIF NOT (_ask.replaces AND _held.is_waiting)
                OR replace_job_v1(_held.job_id, _jobs::json -> (_ask.last_place - 1)::integer) THEN
                    _ids[_ask.place] := _held.job_id;
                    EXIT;
                END IF;
                -- Another transaction was faster. What it did is seen by a new statement only.
                SELECT h.job_id, h.is_waiting, h.counts INTO _held
                FROM {schema}.key_holder_v1(
                    _ask.task_name, _key, _ask.unique_running, _ask.unique_seconds, _ask.cache_seconds
                ) AS h;
                _held.counts := coalesce(_held.counts, false);
            END LOOP;
        END LOOP;
    EXCEPTION WHEN lock_not_available OR deadlock_detected OR serialization_failure THEN
        RETURN QUERY SELECT NULL::bigint, false, SQLSTATE, _key;
        RETURN;
    END;
    INSERT INTO procrastinate_jobs
        (
            id, queue_name, task_name, priority, lock, queueing_lock, args, scheduled_at, limit_key,
            at_most, fair_key, tokens, is_strict, version, expires_at, trace
        )
    SELECT
        _stored[job.place], job.queue_name, job.task_name, job.priority, job.lock, job.queueing_lock,
        job.args::jsonb,
        coalesce(job.at, clock_timestamp() + make_interval(secs => job.delay_seconds)),
        job.limit_key, job.at_most, job.fair_key, job.tokens, coalesce(job.is_strict, false),
        job.version,
        coalesce(job.expires_at, clock_timestamp() + make_interval(secs => job.expires_seconds)),
        job.trace
    FROM ROWS FROM (
        json_to_recordset(_jobs::json) AS (
            queue_name varchar, task_name varchar, priority integer, lock text, queueing_lock text,
            args text, delay_seconds double precision, at timestamptz, limit_key text, at_most integer,
            fair_key text, tokens integer, is_strict boolean, version integer,
            expires_seconds double precision, expires_at timestamptz, trace text
        )
    ) WITH ORDINALITY AS job (
        queue_name, task_name, priority, lock, queueing_lock, args, delay_seconds, at, limit_key,
        at_most, fair_key, tokens, is_strict, version, expires_seconds, expires_at, trace,
        place
    )
    WHERE _stored[job.place] IS NOT NULL
    ORDER BY job.place;
    RETURN QUERY
    SELECT _ids[j.first], j.place = j.first AND coalesce(_is_new[j.first], false), NULL, NULL
    FROM (
        SELECT r.place, min(r.place) OVER (PARTITION BY r.task_name, r.unique_key) AS first
        FROM ROWS FROM (
            json_to_recordset(_jobs::json) AS (task_name text, unique_key text)
        ) WITH ORDINALITY AS r (task_name, unique_key, place)
    ) AS j
    ORDER BY j.place;
END $$
