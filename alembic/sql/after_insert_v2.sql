-- Once for each statement, whatever it inserted: note the locks, limits and fair keys that changed, keep
-- the arguments that jobs are searched by, wake the workers.
--
-- The notes are append-only, so no transaction waits for another one. A notification names a queue
-- and no job: those of one transaction and queue are sent as one.
-- SECURITY DEFINER: a role that may insert jobs needs no rights on the notes.
CREATE OR REPLACE FUNCTION {schema}.after_insert() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = {schema}, pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO lock_notes (lock, is_limit)
    SELECT DISTINCT CASE n.gate WHEN 3 THEN n.limit_key ELSE n.lock END, n.gate = 3
    FROM new_rows AS n
    -- A strict one for later may have come after one behind it was made ready.
    WHERE n.gate IN (2, 3) OR (n.is_strict AND n.gate = 1);
    INSERT INTO fair_notes (queue_name, priority, fair_key)
    SELECT DISTINCT n.queue_name, n.priority, n.fair_key FROM new_rows AS n WHERE n.gate = 6;
    IF EXISTS (SELECT FROM indexed_args) THEN
        INSERT INTO job_args (job_id, name, value)
        SELECT n.id, k.name, n.args ->> k.name
        FROM new_rows AS n
        JOIN indexed_args AS i ON i.task_name = n.task_name
        CROSS JOIN LATERAL unnest(i.names) AS k (name)
        WHERE jsonb_typeof(n.args -> k.name) IN ('string', 'number', 'boolean')
          AND length(n.args ->> k.name) <= 200
        ON CONFLICT DO NOTHING;
    END IF;
    IF (SELECT h.notify FROM hub AS h) THEN
        PERFORM pg_notify('{schema}', q.queue_name)
        FROM (SELECT DISTINCT n.queue_name FROM new_rows AS n WHERE n.status = 'todo') AS q;
    END IF;
    RETURN NULL;
END $$
