-- The gate of a new row that is not ready at once; rows without date, lock, limit and fair key never get here.
--
-- 0 ready, 1 future, 2 behind its lock, 3 behind its limit, 6 until its turn among the fair keys. What is free is the workers' to find out: a
-- transaction of a user must not look at, wait for or write what others share.
CREATE FUNCTION {schema}.set_gate() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = {schema}, pg_catalog, pg_temp
AS $$
BEGIN
    NEW.gate := CASE
        WHEN NEW.status <> 'todo' THEN 0
        WHEN NEW.scheduled_at > clock_timestamp() THEN 1
        WHEN NEW.lock IS NOT NULL THEN 2
        WHEN NEW.limit_key IS NOT NULL THEN 3
        WHEN NEW.fair_key IS NOT NULL THEN 6
        ELSE 0
    END;
    RETURN NEW;
END $$
