-- Forget keys of a lane that have no jobs waiting for their turns; whether there were any.
--
-- `_keys` are their places in fair_keys, see promote_turns_v1. A key that is noted by a worker while it goes
-- is looked for once more afterwards: the one who noted it saw that it was there, and left it.
-- Index: jobs_fair, once for each key. A subquery with a value: NOT EXISTS became a join which read for each
-- key all jobs that wait for their turns.
CREATE FUNCTION {schema}.forget_turns_v1(_queue varchar, _priority integer, _keys tid[]) RETURNS boolean
LANGUAGE plpgsql
SET search_path = {schema}, pg_catalog, pg_temp
{planner}
AS $$
DECLARE
    _gone text[];
BEGIN
    WITH forgotten AS (
        DELETE FROM fair_keys AS k
        WHERE k.ctid = ANY(_keys)
          AND (
              SELECT j.id FROM procrastinate_jobs AS j
              WHERE j.status = 'todo' AND j.gate = 6 AND j.queue_name = _queue
                AND j.priority = _priority AND j.fair_key = k.fair_key
              LIMIT 1
          ) IS NULL
        RETURNING k.fair_key
    )
    SELECT array_agg(f.fair_key) INTO _gone FROM forgotten AS f;
    INSERT INTO fair_notes (queue_name, priority, fair_key)
    SELECT _queue, _priority, g.name
    FROM unnest(_gone) AS g (name)
    CROSS JOIN LATERAL (
        SELECT j.id
        FROM procrastinate_jobs AS j
        WHERE j.status = 'todo' AND j.gate = 6 AND j.queue_name = _queue
          AND j.priority = _priority AND j.fair_key = g.name
        LIMIT 1
    ) AS j;
    RETURN _gone IS NOT NULL;
END $$
