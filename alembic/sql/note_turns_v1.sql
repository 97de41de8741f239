-- Take notes of fair keys off the list, 2,000 a call at most, and let the keys have turns.
--
-- `upto` is the highest id that was met: the next call may begin behind it, a hint as in take_notes_v1.
-- A key that has a turn keeps it; a new one comes in where the others of its lane are now.
-- Whoever inserts here waits for nobody but a tick that is inserting or forgetting the same key; all do
-- so in one order, lanes before keys, and before they forget any.
-- Indexes: fair_notes_pkey, fair_lanes_pkey, fair_keys_pkey.
CREATE FUNCTION {schema}.note_turns_v1(_from bigint, OUT upto bigint)
LANGUAGE plpgsql
SET search_path = {schema}, pg_catalog, pg_temp
{planner}
AS $$
DECLARE
    _notes jsonb;
BEGIN
    WITH taken AS (
        DELETE FROM fair_notes AS n
        WHERE n.ctid = ANY (ARRAY(
            SELECT f.ctid
            FROM fair_notes AS f
            WHERE f.id >= _from
            ORDER BY f.id
            LIMIT 2000
            FOR UPDATE SKIP LOCKED
        ))
        RETURNING n.id, n.queue_name, n.priority, n.fair_key
    )
    SELECT max(t.id), jsonb_agg(DISTINCT jsonb_build_object(
        'queue_name', t.queue_name, 'priority', t.priority, 'fair_key', t.fair_key
    ))
    INTO upto, _notes
    FROM taken AS t;
    IF _notes IS NULL THEN
        RETURN;
    END IF;
    INSERT INTO fair_lanes AS l (queue_name, priority)
    SELECT DISTINCT n.queue_name, n.priority
    FROM jsonb_to_recordset(_notes) AS n (queue_name varchar, priority integer)
    ORDER BY n.queue_name, n.priority
    ON CONFLICT DO NOTHING;
    INSERT INTO fair_keys AS k (queue_name, priority, fair_key, turn)
    SELECT n.queue_name, n.priority, n.fair_key, (
        SELECT l.turn FROM fair_lanes AS l
        WHERE l.queue_name = n.queue_name AND l.priority = n.priority
    )
    FROM jsonb_to_recordset(_notes) AS n (queue_name varchar, priority integer, fair_key text)
    ORDER BY n.queue_name, n.priority, n.fair_key
    ON CONFLICT DO NOTHING;
END $$
