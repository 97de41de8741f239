-- Take from a key's bucket what a running job took beyond the tokens that it had reserved, or give back what
-- it did not need. `is_held`: the claim is current; `key`: what the job is limited by, its name or another.
--
-- Append-only, then a look at the key, as in rule_v1: never waits for a tick. A key without a rate has
-- nothing to settle. Index: procrastinate_jobs_pkey.
CREATE FUNCTION {schema}.settle_v1(
    _job_id bigint, _claim integer, _worker_id bigint, _name text, _actual double precision,
    OUT is_held boolean, OUT key text
)
LANGUAGE plpgsql
SET search_path = {schema}, pg_catalog, pg_temp
AS $$
DECLARE
    _reserved integer;
    _moved varchar[];
BEGIN
    SELECT j.limit_key, coalesce(j.tokens, 1) INTO key, _reserved
    FROM procrastinate_jobs AS j
    WHERE j.id = _job_id AND j.claim = _claim AND j.worker_id = _worker_id AND j.status::text = 'doing';
    is_held := FOUND;
    IF key IS DISTINCT FROM _name OR _actual = _reserved
    OR NOT EXISTS (SELECT FROM rules AS r WHERE r.name = _name AND r.rate IS NOT NULL) THEN
        RETURN;
    END IF;
    INSERT INTO limit_events (name, kind, job_id, amount)
    VALUES (_name, 'settled', _job_id, _actual - _reserved);
    _moved := promote_limits_v1(ARRAY[_name]);
    IF (SELECT h.notify FROM hub AS h) THEN
        PERFORM pg_notify('{schema}', m.queue_name) FROM unnest(_moved) AS m (queue_name);
    END IF;
END $$
