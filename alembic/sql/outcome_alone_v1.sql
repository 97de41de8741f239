-- Store one outcome that might wait for a user's transaction: a job with a queueing lock that is to
-- wait again, while another one with it was perhaps deferred in a transaction that is still open.
--
-- Apart from the tick, which must not wait, and not for long. The ids that were stored; an error
-- (unique_violation, lock_not_available) means: not with this queueing lock.
CREATE FUNCTION {schema}.outcome_alone_v1(_worker_id bigint, _outcomes text) RETURNS bigint[]
LANGUAGE plpgsql
SET search_path = {schema}, pg_catalog, pg_temp
SET lock_timeout = '500ms'
AS $$
DECLARE
    _ack record;
BEGIN
    PERFORM note_trouble_v1(_worker_id, _outcomes);
    SELECT o.stored, o.freed, o.slots INTO _ack FROM outcomes_v1(_worker_id, _outcomes) AS o;
    INSERT INTO lock_notes (lock) SELECT unnest(_ack.freed);
    INSERT INTO lock_notes (lock, is_limit) SELECT unnest(_ack.slots), true;
    RETURN _ack.stored;
END $$
