-- Once for each statement, whatever it inserted: note the locks that changed, wake the workers.
--
-- The notes are append-only, so no transaction waits for another one. A notification names a queue
-- and no job: those of one transaction and queue are sent as one.
-- SECURITY DEFINER: a role that may insert jobs needs no rights on the notes.
CREATE FUNCTION {schema}.after_insert() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = {schema}, pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO lock_notes (lock)
    SELECT DISTINCT n.lock FROM new_rows AS n WHERE n.gate = 2;
    IF (SELECT h.notify FROM hub AS h) THEN
        PERFORM pg_notify('{schema}', q.queue_name)
        FROM (SELECT DISTINCT n.queue_name FROM new_rows AS n WHERE n.status = 'todo') AS q;
    END IF;
    RETURN NULL;
END $$
