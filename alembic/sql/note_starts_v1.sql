-- Bring the buckets of these keys up to now, where tokens of theirs were promised: at the end of a tick,
-- most of the jobs that it let go have started. A bucket that another worker is looking at stays as it is.
--
-- Indexes: limit_states_pkey, rules_pkey.
CREATE FUNCTION {schema}.note_starts_v1(_keys text[]) RETURNS void
LANGUAGE plpgsql
SET search_path = {schema}, pg_catalog, pg_temp
{planner}
AS $$
DECLARE
    _key record;
    _bucket record;
BEGIN
    FOR _key IN
        SELECT r.name, r.rate, r.burst
        FROM (SELECT DISTINCT u.name FROM unnest(_keys) AS u (name) ORDER BY u.name) AS k
        JOIN rules AS r ON r.name = k.name
        JOIN limit_states AS s ON s.name = k.name
        WHERE r.rate IS NOT NULL AND s.reserved > 0
    LOOP
        IF pg_try_advisory_xact_lock(hashtextextended('{schema}:limit:' || _key.name, 7)) THEN
            SELECT * INTO _bucket FROM bucket_v1(_key.name, _key.rate, _key.burst);
            PERFORM keep_bucket_v1(
                _key.name, _key.rate, _key.burst, _bucket.tokens, _bucket.ready, _bucket.at, false
            );
        END IF;
    END LOOP;
END $$
