-- Take in what happened to the jobs of a key: 429s, failures, successes, tokens that were settled. For
-- whoever holds the key's advisory lock; `_wins` names the key once for each success that was just stored.
--
-- `slots`: at most so many at once, by feedback; NULL: as the rule says. `new_slots`: only so many more,
-- by the breaker: 0 while it is open or its probe is out, 1 when a probe may go; NULL: it is closed.
-- `until` is set while it is open. A throttled job that had started before the last halving does not halve
-- again: it belongs to the same wave. Whatever fails while the breaker is open, but for the probe, says
-- nothing new. A probe that ends as neither success nor failure gives way to the next one.
-- Indexes: rules_pkey, limit_states_pkey, limit_events_name, procrastinate_jobs_pkey.
CREATE FUNCTION {schema}.regulate_v1(
    _name text, _wins text[], OUT slots integer, OUT new_slots integer, OUT until timestamptz
)
LANGUAGE plpgsql
SET search_path = {schema}, pg_catalog, pg_temp
{planner}
AS $$
DECLARE
    _now timestamptz := clock_timestamp();
    _rule rules;
    _before limit_states;
    _state limit_states;
    _told record;
    _failed record;
    _probe record;
    _most integer;
BEGIN
    SELECT r.* INTO _rule FROM rules AS r WHERE r.name = _name;
    INSERT INTO limit_states (name) SELECT _name
    WHERE NOT EXISTS (SELECT FROM limit_states AS s WHERE s.name = _name);
    SELECT s.* INTO _before FROM limit_states AS s WHERE s.name = _name;
    _state := _before;
    WITH gone AS (
        DELETE FROM limit_events AS e
        WHERE e.name = _name AND (
            e.kind <> 'failed' OR _rule.breaker_failures IS NULL
            OR CASE
                WHEN _state.opened_at IS NULL THEN e.at < _now - make_interval(secs => _rule.breaker_within)
                ELSE e.job_id IS DISTINCT FROM _state.probe_id
            END
        )
        RETURNING e.kind, e.amount, e.started_at, e.at_most
    )
    SELECT
        coalesce(sum(gone.amount), 0) AS settled,
        count(*) FILTER (WHERE gone.kind = 'succeeded') AS wins,
        max(coalesce(gone.started_at, _now)) FILTER (WHERE gone.kind = 'throttled') AS throttled,
        max(gone.at_most) AS at_most
    INTO _told
    FROM gone;
    _state.tokens := _state.tokens - _told.settled;

    -- Feedback: halve at a 429, one more for each round of successes.
    _most := coalesce(_rule.at_most, _told.at_most, _state.most);
    IF _told.throttled > coalesce(_state.halved_at, '-infinity') THEN
        _state.slots := greatest(1, floor(coalesce(_state.slots, _most) / 2));
        _state.most := _most;
        _state.halved_at := _now;
    ELSIF _state.slots IS NOT NULL THEN
        _state.slots := _state.slots + (
            _told.wins + (SELECT count(*) FROM unnest(_wins) AS w (name) WHERE w.name = _name)
        ) / _state.slots;
    END IF;
    IF _state.slots >= _most THEN
        _state.slots := NULL;
    END IF;
    slots := floor(_state.slots);

    IF _rule.breaker_failures IS NOT NULL THEN
        SELECT count(*) AS times, (array_agg(e.reason ORDER BY e.id DESC))[1] AS reason
        INTO _failed
        FROM limit_events AS e
        WHERE e.name = _name AND e.kind = 'failed';
        IF _state.opened_at IS NULL AND _failed.times >= _rule.breaker_failures
        OR _state.probe_id IS NOT NULL AND _failed.times > 0 THEN
            _state.opens := _state.opens + 1;
            _state.opened_at := _now;
            _state.open_until := _now + make_interval(
                secs => _rule.breaker_hold * least(2.0 ^ least(_state.opens - 1, 10), 10)
            );
            _state.open_reason := _failed.reason;
            _state.probe_id := NULL;
            DELETE FROM limit_events AS e WHERE e.name = _name AND e.kind = 'failed' AND e.at <= _now;
        END IF;
        IF _state.open_until > _now THEN
            new_slots := 0;
            until := _state.open_until;
        ELSIF _state.opened_at IS NOT NULL THEN
            new_slots := 1;
            IF _state.probe_id IS NOT NULL THEN
                SELECT j.status::text, j.gate INTO _probe
                FROM procrastinate_jobs AS j
                WHERE j.id = _state.probe_id;
                IF NOT FOUND OR _probe.status = 'succeeded' THEN
                    new_slots := NULL;
                    _state.opens := 0;
                    _state.opened_at := NULL;
                    _state.open_until := NULL;
                    _state.open_reason := NULL;
                ELSIF _probe.status = 'doing' OR (_probe.status = 'todo' AND _probe.gate IN (0, 6)) THEN
                    new_slots := 0;
                END IF;
                IF new_slots IS DISTINCT FROM 0 THEN
                    _state.probe_id := NULL;
                END IF;
            END IF;
        END IF;
    END IF;

    IF _rule.rate IS NULL AND _rule.breaker_failures IS NULL AND _state.slots IS NULL
    AND coalesce(_state.halved_at, '-infinity') < _now - interval '1 day' THEN
        DELETE FROM limit_states AS s WHERE s.name = _name;
    ELSIF _state IS DISTINCT FROM _before THEN
        UPDATE limit_states AS s
        SET tokens = _state.tokens, slots = _state.slots, most = _state.most,
            halved_at = _state.halved_at, opens = _state.opens, opened_at = _state.opened_at,
            open_until = _state.open_until, open_reason = _state.open_reason,
            probe_id = _state.probe_id
        WHERE s.name = _name;
    END IF;
END $$
