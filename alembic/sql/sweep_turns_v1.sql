-- Note keys that have jobs waiting for their turns and have none, and forget lanes without keys; 1,000 keys
-- a call, from the lane and key after the given ones on. Where to go on; NULLs at the end.
--
-- Whoever lets a job wait for its turn notes its key; this is for what was changed by hand, and for rows
-- that somebody held. Loose scans, and subqueries with a value: as a join it read all keys of a lane for each
-- of them. Indexes: jobs_fair, fair_keys_pkey, fair_lanes_pkey.
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
        WHERE (
            SELECT k.turn FROM fair_keys AS k
            WHERE k.queue_name = o.queue_name AND k.priority = o.priority
            LIMIT 1
        ) IS NULL
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
        WHERE (
            SELECT k.turn FROM fair_keys AS k
            WHERE k.queue_name = queue AND k.priority = lane AND k.fair_key = key
        ) IS NULL
           OR (
               SELECT l.turn FROM fair_lanes AS l WHERE l.queue_name = queue AND l.priority = lane
           ) IS NULL;
    END LOOP;
END $$
