-- Change the rule of a queue ("queue:NAME"), a task ("task:NAME") or a key: limit, unlimit, pause, resume.
-- Whether there was something to take away.
--
-- Waits for the ticks that are counting under this name now; those that come later know the rule. What
-- runs goes on. An empty rule of a task stays until its jobs have gone on, see sweep_limits_v1.
-- Index: rules_pkey.
CREATE FUNCTION {schema}.rule_v1(
    _name text, _what text, _at_most integer, _reason text, _until timestamptz
) RETURNS boolean
LANGUAGE plpgsql
SET search_path = {schema}, pg_catalog, pg_temp
AS $$
DECLARE
    _before rules;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('{schema}:limit:' || _name, 7));
    SELECT r.* INTO _before FROM rules AS r WHERE r.name = _name FOR UPDATE;
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
    DELETE FROM rules AS r
    WHERE r.name = _name AND r.kind <> 'task' AND r.at_most IS NULL AND r.paused_at IS NULL;
    IF _name NOT LIKE 'queue:%' AND _name NOT LIKE 'task:%' THEN
        PERFORM promote_limits_v1(ARRAY[_name]);
    END IF;
    IF (SELECT h.notify FROM hub AS h) THEN
        PERFORM pg_notify('{schema}', CASE WHEN _name LIKE 'queue:%' THEN substr(_name, 7) ELSE '' END);
    END IF;
    RETURN CASE _what
        WHEN 'unlimit' THEN _before.at_most IS NOT NULL
        WHEN 'resume' THEN _before.paused_at IS NOT NULL
        ELSE true
    END;
END $$
