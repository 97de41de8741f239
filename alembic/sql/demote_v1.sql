-- Send ready jobs back behind their locks, for better ones; the ids that may now be promoted.
--
-- A job that a worker has claimed meanwhile, or that a transaction holds, stays where it is, and so
-- does the one that was to take its place.
-- Index: procrastinate_jobs_pkey.
CREATE FUNCTION {schema}.demote_v1(_demote bigint[], _promote bigint[]) RETURNS bigint[]
LANGUAGE plpgsql
SET search_path = {schema}, pg_catalog, pg_temp
{planner}
AS $$
DECLARE
    _moved text[];
BEGIN
    WITH held AS MATERIALIZED (
        SELECT j.ctid AS place
        FROM procrastinate_jobs AS j
        WHERE j.id = ANY(_demote) AND j.status::text = 'todo' AND j.gate = 0
        FOR UPDATE SKIP LOCKED
    ), moved AS (
        UPDATE procrastinate_jobs AS j
        SET gate = 2
        FROM held
        WHERE j.ctid = held.place
        RETURNING j.lock
    )
    SELECT array_agg(moved.lock) INTO _moved FROM moved;
    RETURN (
        SELECT array_agg(j.id)
        FROM procrastinate_jobs AS j
        LEFT JOIN LATERAL (
            SELECT o.id
            FROM procrastinate_jobs AS o
            WHERE o.lock = j.lock AND o.gate = 0 AND o.status IN ('todo', 'doing')
            LIMIT 1
        ) AS o ON true
        WHERE j.id = ANY(_promote) AND o.id IS NULL
    );
END $$
