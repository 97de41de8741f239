-- Change the rule of a queue ("queue:NAME"), a task ("task:NAME") or a key: limit, unlimit, pause, resume.
-- Whether there was something to take away.
--
-- Waits for the ticks that are counting under this name now; those that come later know the rule. What
-- runs goes on. An empty rule of a task stays until its jobs have gone on, see sweep_limits_v1.
-- `_more` is for a limit of a key: an object of rate (tokens a second), burst, feedback, and
-- breaker_failures, breaker_within, breaker_hold (seconds). To resume a key also closes its breaker; a new
-- limit forgets what feedback had made of the old number. A bucket keeps the tokens that it has.
-- Indexes: rules_pkey, limit_states_pkey.
CREATE FUNCTION {schema}.rule_v1(
    _name text, _what text, _at_most integer, _reason text, _until timestamptz, _more jsonb DEFAULT '{}'
) RETURNS boolean
LANGUAGE plpgsql
SET search_path = {schema}, pg_catalog, pg_temp
AS $$
DECLARE
    _before rules;
    _bucket record;
    _closed boolean := false;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('{schema}:limit:' || _name, 7));
    SELECT r.* INTO _before FROM rules AS r WHERE r.name = _name FOR UPDATE;
    IF _before.rate IS NOT NULL THEN
        -- What has come in so far came at the old rate.
        SELECT * INTO _bucket FROM bucket_v1(_name, _before.rate, _before.burst);
        UPDATE limit_states AS s
        SET tokens = _bucket.tokens, reserved = _bucket.ready, filled_at = _bucket.at
        WHERE s.name = _name;
    END IF;
    INSERT INTO rules AS r (name, at_most, paused_at, paused_until, reason)
    VALUES (
        _name,
        CASE _what WHEN 'limit' THEN _at_most WHEN 'unlimit' THEN NULL ELSE _before.at_most END,
        CASE _what
            WHEN 'pause' THEN coalesce(_before.paused_at, clock_timestamp())
            WHEN 'resume' THEN NULL
            ELSE _before.paused_at
        END,
        CASE _what WHEN 'pause' THEN _until WHEN 'resume' THEN NULL ELSE _before.paused_until END,
        CASE _what WHEN 'pause' THEN _reason WHEN 'resume' THEN NULL ELSE _before.reason END
    )
    ON CONFLICT (name) DO UPDATE SET
        at_most = excluded.at_most,
        paused_at = excluded.paused_at,
        paused_until = excluded.paused_until,
        reason = excluded.reason;
    IF _what IN ('limit', 'unlimit') THEN
        UPDATE rules AS r
        SET rate = (_more ->> 'rate')::double precision,
            burst = (_more ->> 'burst')::double precision,
            feedback = CASE _what WHEN 'limit' THEN coalesce((_more ->> 'feedback')::boolean, false) END,
            breaker_failures = (_more ->> 'breaker_failures')::integer,
            breaker_within = (_more ->> 'breaker_within')::double precision,
            breaker_hold = (_more ->> 'breaker_hold')::double precision
        WHERE r.name = _name;
        UPDATE limit_states AS s
        SET slots = NULL, halved_at = NULL,
            tokens = CASE WHEN _more ? 'rate' THEN s.tokens END
        WHERE s.name = _name;
    END IF;
    IF _what = 'resume' OR (_what IN ('limit', 'unlimit') AND NOT _more ? 'breaker_failures') THEN
        UPDATE limit_states AS s
        SET opened_at = NULL, open_until = NULL, open_reason = NULL, probe_id = NULL, opens = 0
        WHERE s.name = _name AND s.opened_at IS NOT NULL;
        _closed := FOUND;
        IF _closed THEN
            DELETE FROM limit_events AS e WHERE e.name = _name AND e.kind = 'failed';
        END IF;
    END IF;
    DELETE FROM rules AS r
    WHERE r.name = _name AND r.kind <> 'task' AND r.at_most IS NULL AND r.rate IS NULL
      AND r.breaker_failures IS NULL AND r.paused_at IS NULL;
    IF _name NOT LIKE 'queue:%' AND _name NOT LIKE 'task:%' THEN
        PERFORM promote_limits_v1(ARRAY[_name]);
    END IF;
    IF (SELECT h.notify FROM hub AS h) THEN
        PERFORM pg_notify('{schema}', CASE WHEN _name LIKE 'queue:%' THEN substr(_name, 7) ELSE '' END);
    END IF;
    RETURN CASE _what
        WHEN 'unlimit' THEN
            coalesce(_before.at_most, _before.rate, _before.breaker_failures) IS NOT NULL
        WHEN 'resume' THEN _before.paused_at IS NOT NULL OR _closed
        ELSE true
    END;
END $$
