-- Refuse a row that breaks a rule of the table, whoever inserts it; called for such rows only.
CREATE FUNCTION {schema}.refuse_job() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION USING
        ERRCODE = 'check_violation',
        MESSAGE = {schema}.job_refusal(
            NEW.task_name, NEW.args, NEW.queue_name, NEW.lock, NEW.queueing_lock, NEW.scheduled_at
        ),
        SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, CONSTRAINT = TG_NAME;
END $$
