-- Of every limit that has room, let the first jobs that stand behind it be ready; 500 a limit at most.
--
-- First is the highest priority, then the lowest id. The ready and the running jobs of a key together
-- never exceed its limit, so no claim can exceed it: only this function makes a job with a key ready,
-- and only under the key's advisory lock. How many: the rule of the key if there is one (see rule_v1),
-- else what the first waiting job declares; 0 while it is paused. Where a rule was lowered, ready jobs
-- go back, the last first, and running ones go on. A key that another worker is looking at goes back to the notes.
-- Every statement in the loop has a snapshot that is younger than the lock. Rows that others hold are
-- passed over.
-- Indexes: jobs_slots, jobs_limited.
CREATE FUNCTION {schema}.promote_limits_v1(_keys text[]) RETURNS varchar[]
LANGUAGE plpgsql
SET search_path = {schema}, pg_catalog, pg_temp
{planner}
AS $$
DECLARE
    _key record;
    _taken integer;
    _ruled integer;
    _declared integer;
    _waits boolean;
    _room integer;
    _moved varchar[];
    _rows integer;
    _queues varchar[];
BEGIN
    FOR _key IN
        SELECT
            s.name, pg_try_advisory_xact_lock(hashtextextended('{schema}:limit:' || s.name, 7)) AS got
        FROM (SELECT DISTINCT u.name FROM unnest(_keys) AS u (name) ORDER BY u.name) AS s
    LOOP
        IF NOT _key.got THEN
            INSERT INTO lock_notes (lock, is_limit) VALUES (_key.name, true);
            CONTINUE;
        END IF;
        _ruled := NULL;
        SELECT CASE
            WHEN r.paused_at IS NOT NULL
             AND coalesce(r.paused_until, 'infinity') > clock_timestamp() THEN 0
            ELSE r.at_most
        END
        INTO _ruled
        FROM rules AS r
        WHERE r.name = _key.name;
        SELECT j.at_most INTO _declared
        FROM procrastinate_jobs AS j
        WHERE j.status = 'todo' AND j.gate = 3 AND j.limit_key = _key.name
        ORDER BY j.priority DESC, j.id
        LIMIT 1;
        _waits := FOUND;
        CONTINUE WHEN NOT _waits AND _ruled IS NULL;
        SELECT count(*) INTO _taken
        FROM procrastinate_jobs AS j
        WHERE j.limit_key = _key.name AND j.gate IN (0, 6) AND j.status IN ('todo', 'doing');
        _room := coalesce(_ruled, _declared, 2147483647) - _taken;
        IF _room > 0 AND _waits THEN
            WITH chosen AS MATERIALIZED (
                SELECT j.ctid AS place
                FROM procrastinate_jobs AS j
                WHERE j.status = 'todo' AND j.gate = 3 AND j.limit_key = _key.name
                ORDER BY j.priority DESC, j.id
                LIMIT least(_room, 500)
                FOR UPDATE SKIP LOCKED
            ), moved AS (
                UPDATE procrastinate_jobs AS j
                SET gate = CASE WHEN j.fair_key IS NOT NULL AND j.place IS NULL THEN 6 ELSE 0 END
                FROM chosen
                WHERE j.ctid = chosen.place
                RETURNING j.queue_name, j.gate, j.priority, j.fair_key
            ), noted AS (
                INSERT INTO fair_notes (queue_name, priority, fair_key)
                SELECT DISTINCT moved.queue_name, moved.priority, moved.fair_key
                FROM moved
                WHERE moved.gate = 6
            )
            SELECT array_agg(DISTINCT moved.queue_name), count(*) INTO _moved, _rows FROM moved;
            _queues := _queues || _moved;
            IF _rows = 500 THEN
                INSERT INTO lock_notes (lock, is_limit) VALUES (_key.name, true);
            END IF;
        ELSIF _room < 0 AND _ruled IS NOT NULL THEN
            WITH chosen AS MATERIALIZED (
                SELECT j.ctid AS place
                FROM procrastinate_jobs AS j
                WHERE j.limit_key = _key.name AND j.gate IN (0, 6) AND j.status IN ('todo', 'doing')
                  AND j.status::text = 'todo'
                ORDER BY j.priority, j.id DESC
                LIMIT - _room
                FOR UPDATE SKIP LOCKED
            )
            UPDATE procrastinate_jobs AS j
            SET gate = 3
            FROM chosen
            WHERE j.ctid = chosen.place;
        END IF;
    END LOOP;
    RETURN _queues;
END $$
