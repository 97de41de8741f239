-- Take notes of locks and limits that changed off the list; 500 a call at most.
--
-- `upto` is the highest id that was met: the next call may begin behind it. That is a hint, as in
-- promote_due_v1: ids commit out of order, so now and then a call must begin at 0.
-- Index: lock_notes_pkey. Notes that another worker is taking are skipped.
CREATE FUNCTION {schema}.take_notes_v1(_from bigint, OUT locks text[], OUT limits text[], OUT upto bigint)
LANGUAGE plpgsql
SET search_path = {schema}, pg_catalog, pg_temp
{planner}
AS $$
BEGIN
    PERFORM FROM lock_notes AS f WHERE f.id >= _from ORDER BY f.id LIMIT 1;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    WITH taken AS (
        DELETE FROM lock_notes AS n
        WHERE n.ctid = ANY (ARRAY(
            SELECT f.ctid
            FROM lock_notes AS f
            WHERE f.id >= _from
            ORDER BY f.id
            LIMIT 500
            FOR UPDATE SKIP LOCKED
        ))
        RETURNING n.id, n.lock, n.is_limit
    )
    SELECT
        array_agg(DISTINCT taken.lock) FILTER (WHERE NOT taken.is_limit),
        array_agg(DISTINCT taken.lock) FILTER (WHERE taken.is_limit),
        max(taken.id)
    INTO locks, limits, upto
    FROM taken;
END $$
