-- Make a waiting job into the one that was just asked for, under its own id; false: it waits no more.
--
-- What it has gone through (attempts, lost, claim) stays. The gate is the one that a new row would get,
-- and the locks and limits it leaves and asks for are noted, as after_insert does.
-- Index: procrastinate_jobs_pkey.
CREATE FUNCTION {schema}.replace_job_v1(_job_id bigint, _job json) RETURNS boolean
LANGUAGE plpgsql
SET search_path = {schema}, pg_catalog, pg_temp
{planner}
AS $$
DECLARE
    _old record;
    _new record;
BEGIN
    SELECT j.lock, j.limit_key INTO _old
    FROM procrastinate_jobs AS j
    WHERE j.id = _job_id AND j.status::text = 'todo'
    FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    UPDATE procrastinate_jobs AS j
    SET queue_name = job.queue_name,
        priority = job.priority,
        lock = job.lock,
        queueing_lock = job.queueing_lock,
        args = job.args::jsonb,
        scheduled_at = job.due_at,
        limit_key = job.limit_key,
        at_most = job.at_most,
        fair_key = job.fair_key,
        tokens = job.tokens,
        is_strict = coalesce(job.is_strict, false),
        version = job.version,
        trace = job.trace,
        expires_at = coalesce(
            job.expires_at, clock_timestamp() + make_interval(secs => job.expires_seconds)
        ),
        gate = gate_of_v1(
            coalesce(job.due_at > clock_timestamp(), false), job.lock, job.limit_key, job.fair_key
        ),
        place = NULL
    FROM (
        SELECT
            r.*, coalesce(r.at, clock_timestamp() + make_interval(secs => r.delay_seconds)) AS due_at
        FROM json_to_record(_job) AS r (
            queue_name varchar, priority integer, lock text, queueing_lock text, args text,
            delay_seconds double precision, at timestamptz, limit_key text, at_most integer,
            fair_key text, tokens integer, is_strict boolean, version integer,
            expires_seconds double precision, expires_at timestamptz, trace text
        )
    ) AS job
    WHERE j.id = _job_id
    RETURNING j.queue_name, j.lock, j.limit_key, j.gate, j.priority, j.fair_key INTO _new;
    IF _new.gate = 6 THEN
        INSERT INTO fair_notes (queue_name, priority, fair_key)
        VALUES (_new.queue_name, _new.priority, _new.fair_key);
    END IF;
    INSERT INTO lock_notes (lock)
    SELECT DISTINCT l.lock FROM unnest(ARRAY[_old.lock, _new.lock]) AS l (lock) WHERE l.lock IS NOT NULL;
    INSERT INTO lock_notes (lock, is_limit)
    SELECT DISTINCT l.lock, true
    FROM unnest(ARRAY[_old.limit_key, _new.limit_key]) AS l (lock) WHERE l.lock IS NOT NULL;
    IF (SELECT h.notify FROM hub AS h) THEN
        PERFORM pg_notify('{schema}', _new.queue_name);
    END IF;
    RETURN true;
END $$
