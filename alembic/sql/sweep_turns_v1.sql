-- Note keys that have jobs waiting for their turns and have none, and forget lanes without keys; 1,000 keys
-- a call, from the lane and key after the given ones on. Where to go on; NULLs at the end.
--
-- Whoever lets a job wait for its turn notes its key; this is for what was changed by hand, and for rows
-- that somebody held. Loose scans. Indexes: jobs_fair, fair_keys_pkey.
CREATE FUNCTION {schema}.sweep_turns_v1(INOUT queue varchar, INOUT lane integer, INOUT key text)
LANGUAGE plpgsql
SET search_path = {schema}, pg_catalog, pg_temp
{planner}
AS $$
BEGIN
    DELETE FROM fair_lanes AS l
    WHERE (l.queue_name, l.priority) IN (
        SELECT o.queue_name, o.priority
        FROM fair_lanes AS o
        WHERE NOT EXISTS (
            SELECT FROM fair_keys AS k WHERE k.queue_name = o.queue_name AND k.priority = o.priority
        )
          AND pg_try_advisory_xact_lock(hashtextextended('{schema}:fair:' || o.queue_name, 7))
        FOR UPDATE SKIP LOCKED
    );
    FOR _round IN 1 .. 1000 LOOP
        SELECT j.queue_name, j.priority, j.fair_key INTO queue, lane, key
        FROM procrastinate_jobs AS j
        WHERE j.status = 'todo' AND j.gate = 6
          AND (j.queue_name, j.priority, j.fair_key) > (queue, lane, key)
        ORDER BY j.queue_name, j.priority, j.fair_key
        LIMIT 1;
        EXIT WHEN NOT FOUND;
        INSERT INTO fair_notes (queue_name, priority, fair_key)
        SELECT queue, lane, key
        WHERE NOT EXISTS (
            SELECT FROM fair_keys AS k
            JOIN fair_lanes AS l ON l.queue_name = k.queue_name AND l.priority = k.priority
            WHERE k.queue_name = queue AND k.priority = lane AND k.fair_key = key
        );
    END LOOP;
END $$
