-- The gate of a new row that is not ready at once; rows without date, lock, limit and fair key never get here.
--
-- See gate_of_v1. What is free is the workers' to find out: a transaction of a user must not look at, wait
-- for or write what others share.
CREATE FUNCTION {schema}.set_gate() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = {schema}, pg_catalog, pg_temp
AS $$
BEGIN
    NEW.gate := CASE
        WHEN NEW.status <> 'todo' THEN 0
        ELSE gate_of_v1(NEW.scheduled_at > clock_timestamp(), NEW.lock, NEW.limit_key, NEW.fair_key)
    END;
    RETURN NEW;
END $$
