-- Send ready jobs back behind their locks, for better ones; the ids that may now be promoted.
--
-- A job that a worker has claimed meanwhile, or that a transaction holds, stays where it is, and so
-- does the one that was to take its place. A slot of a limit that was given up is noted.
-- Index: procrastinate_jobs_pkey.
CREATE FUNCTION {schema}.demote_v1(_demote bigint[], _promote bigint[]) RETURNS bigint[]
LANGUAGE plpgsql
SET search_path = {schema}, pg_catalog, pg_temp
{planner}
AS $$
DECLARE
    _slots text[];
BEGIN
    WITH held AS MATERIALIZED (
        SELECT j.ctid AS place
        FROM procrastinate_jobs AS j
        WHERE j.id = ANY(_demote) AND j.status::text = 'todo' AND j.gate IN (0, 3, 4, 5, 6)
        FOR UPDATE SKIP LOCKED
    ), moved AS (
        UPDATE procrastinate_jobs AS j
        SET gate = 2
        FROM held
        WHERE j.ctid = held.place
        RETURNING j.limit_key
    )
    SELECT array_agg(DISTINCT moved.limit_key) FILTER (WHERE moved.limit_key IS NOT NULL)
    INTO _slots
    FROM moved;
    IF _slots IS NOT NULL THEN
        INSERT INTO lock_notes (lock, is_limit) SELECT unnest(_slots), true;
    END IF;
    RETURN (
        SELECT array_agg(j.id)
        FROM procrastinate_jobs AS j
        LEFT JOIN LATERAL (
            SELECT o.id
            FROM procrastinate_jobs AS o
            WHERE o.lock = j.lock AND o.gate IN (0, 3, 4, 5, 6) AND o.status IN ('todo', 'doing')
            LIMIT 1
        ) AS o ON true
        WHERE j.id = ANY(_promote) AND o.id IS NULL
    );
END $$
