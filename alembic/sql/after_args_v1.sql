-- A job got other arguments: so do those that it is searched by.
--
-- SECURITY DEFINER: a role that may change jobs needs no rights on them.
CREATE FUNCTION {schema}.after_args() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = {schema}, pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM job_args AS a WHERE a.job_id = NEW.id;
    INSERT INTO job_args (job_id, name, value)
    SELECT NEW.id, k.name, NEW.args ->> k.name
    FROM indexed_args AS i
    CROSS JOIN LATERAL unnest(i.names) AS k (name)
    WHERE i.task_name = NEW.task_name
      AND jsonb_typeof(NEW.args -> k.name) IN ('string', 'number', 'boolean')
      AND length(NEW.args ->> k.name) <= 200;
    RETURN NULL;
END $$
