-- Of every limit that has room, let the first jobs that stand behind it be ready; 500 a limit at most.
--
-- First is the highest priority, then the lowest id. The ready and the running jobs of a key together
-- never exceed its limit, so no claim can exceed it: only this function makes a job with a key ready,
-- and only under the key's advisory lock. How many: the rule of the key if there is one (see rule_v1),
-- else what the first waiting job declares; 0 while it is paused. A rule may also have a rate, feedback
-- and a breaker: see bucket_v1 and regulate_v1, which keys without them never get to. Tokens are promised
-- in the jobs' order: one that finds too few keeps those behind it waiting, so that it is not overtaken for
-- ever. Where a rule was lowered, ready jobs go back, the last first, and running ones go on. A key that
-- another worker is looking at goes back to the notes. `_wins`: see regulate_v1.
-- Every statement in the loop has a snapshot that is younger than the lock. Rows that others hold are
-- passed over.
-- Indexes: jobs_slots, jobs_limited.
CREATE FUNCTION {schema}.promote_limits_v1(_keys text[], _wins text[] DEFAULT NULL) RETURNS varchar[]
LANGUAGE plpgsql
SET search_path = {schema}, pg_catalog, pg_temp
{planner}
AS $$
DECLARE
    _key record;
    _rule record;
    _slots integer;
    _new_slots integer;
    _until timestamptz;
    _bucket record;
    _tokens double precision;
    _is_unpaid boolean;
    _taken integer;
    _declared integer;
    _waits boolean;
    _room integer;
    _moved varchar[];
    _jobs integer;
    _spent double precision;
    _last bigint;
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
        SELECT
            CASE
                WHEN r.paused_at IS NOT NULL
                 AND coalesce(r.paused_until, 'infinity') > clock_timestamp() THEN 0
                ELSE r.at_most
            END AS at_most,
            r.rate, r.burst,
            r.rate IS NOT NULL OR r.breaker_failures IS NOT NULL
            OR EXISTS (SELECT FROM limit_states AS s WHERE s.name = k.name)
            OR EXISTS (SELECT FROM limit_events AS e WHERE e.name = k.name) AS is_regulated
        INTO _rule
        FROM (SELECT _key.name AS name) AS k
        LEFT JOIN rules AS r ON r.name = k.name;
        _slots := NULL;
        _new_slots := NULL;
        _until := NULL;
        IF _rule.is_regulated THEN
            SELECT s.slots, s.new_slots, s.until INTO _slots, _new_slots, _until
            FROM regulate_v1(_key.name, _wins) AS s;
        END IF;
        SELECT j.at_most INTO _declared
        FROM procrastinate_jobs AS j
        WHERE j.status = 'todo' AND j.gate = 3 AND j.limit_key = _key.name
        ORDER BY j.priority DESC, j.id
        LIMIT 1;
        _waits := FOUND;
        CONTINUE WHEN NOT _waits AND _rule.at_most IS NULL AND NOT _rule.is_regulated;
        SELECT count(*) INTO _taken
        FROM procrastinate_jobs AS j
        WHERE j.limit_key = _key.name AND j.gate IN (0, 6) AND j.status IN ('todo', 'doing');
        _room := least(coalesce(_rule.at_most, _declared, 2147483647), _slots) - _taken;
        _tokens := NULL;
        _is_unpaid := false;
        IF _rule.rate IS NOT NULL THEN
            SELECT * INTO _bucket FROM bucket_v1(_key.name, _rule.rate, _rule.burst);
            _tokens := _bucket.tokens;
            _is_unpaid := _bucket.is_unpaid;
        END IF;
        -- A breaker that opens, or a rate that is new, sends back all that has not started.
        _room := CASE
            WHEN _until IS NOT NULL OR _is_unpaid THEN -2147483647
            ELSE least(_room, _new_slots)
        END;
        _jobs := 0;
        _spent := 0;
        IF _room > 0 AND _waits THEN
            WITH chosen AS MATERIALIZED (
                SELECT j.ctid AS place, j.priority, j.id, coalesce(j.tokens, 1) AS need
                FROM procrastinate_jobs AS j
                WHERE j.status = 'todo' AND j.gate = 3 AND j.limit_key = _key.name
                ORDER BY j.priority DESC, j.id
                LIMIT least(_room, CASE WHEN _tokens < 499 THEN greatest(_tokens, 0)::integer + 1 ELSE 500 END)
                FOR UPDATE SKIP LOCKED
            ), paid AS MATERIALIZED (
                SELECT
                    c.place, c.need,
                    _tokens IS NULL OR _tokens + 1e-6 >= least(c.need, _rule.burst) + coalesce(
                        sum(c.need) OVER (
                            ORDER BY c.priority DESC, c.id
                            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
                        ), 0
                    ) AS fits
                FROM chosen AS c
            ), moved AS (
                UPDATE procrastinate_jobs AS j
                SET gate = CASE WHEN j.fair_key IS NOT NULL AND j.place IS NULL THEN 6 ELSE 0 END
                FROM paid
                WHERE j.ctid = paid.place AND paid.fits
                RETURNING j.queue_name, j.id, paid.need, j.gate, j.priority, j.fair_key
            ), noted AS (
                INSERT INTO fair_notes (queue_name, priority, fair_key)
                SELECT DISTINCT moved.queue_name, moved.priority, moved.fair_key
                FROM moved
                WHERE moved.gate = 6
            )
            SELECT
                array_agg(DISTINCT moved.queue_name), count(*), coalesce(sum(moved.need), 0), max(moved.id)
            INTO _moved, _jobs, _spent, _last
            FROM moved;
            _queues := _queues || _moved;
            IF _jobs = 500 THEN
                INSERT INTO lock_notes (lock, is_limit) VALUES (_key.name, true);
            END IF;
            IF _new_slots = 1 AND _jobs = 1 THEN
                UPDATE limit_states AS s SET probe_id = _last WHERE s.name = _key.name;
            END IF;
        ELSIF _room < 0 AND (_rule.at_most IS NOT NULL OR _rule.is_regulated) THEN
            WITH chosen AS MATERIALIZED (
                SELECT j.ctid AS place
                FROM procrastinate_jobs AS j
                WHERE j.limit_key = _key.name AND j.gate IN (0, 6) AND j.status IN ('todo', 'doing')
                  AND j.status::text = 'todo'
                ORDER BY j.priority, j.id DESC
                LIMIT - _room
                FOR UPDATE SKIP LOCKED
            ), moved AS (
                UPDATE procrastinate_jobs AS j
                SET gate = 3
                FROM chosen
                WHERE j.ctid = chosen.place
                RETURNING coalesce(j.tokens, 1) AS need
            )
            SELECT - coalesce(sum(moved.need), 0) INTO _spent FROM moved;
            IF _is_unpaid AND _until IS NULL THEN
                INSERT INTO lock_notes (lock, is_limit) VALUES (_key.name, true);
            END IF;
        END IF;
        IF _tokens IS NOT NULL THEN
            PERFORM keep_bucket_v1(
                _key.name, _rule.rate, _rule.burst, _tokens - _spent, _bucket.ready + _spent,
                _bucket.at, _room <= _jobs
            );
        END IF;
        IF _rule.is_regulated AND (_tokens IS NULL OR _until IS NOT NULL) THEN
            UPDATE limit_states AS s SET wake_at = _until
            WHERE s.name = _key.name AND s.wake_at IS DISTINCT FROM _until;
        END IF;
    END LOOP;
    RETURN _queues;
END $$
