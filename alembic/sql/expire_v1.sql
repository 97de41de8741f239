-- End waiting jobs that did not start by their time, as cancelled with the reason "expired"; 500 a call.
--
-- The clock is the database's. Rows that others hold are passed over. Index: jobs_expiring.
CREATE FUNCTION {schema}.expire_v1()
RETURNS TABLE (id bigint, queue_name varchar, task_name varchar)
LANGUAGE plpgsql
SET search_path = {schema}, pg_catalog, pg_temp
{planner}
AS $$
#variable_conflict use_column
DECLARE
    _job procrastinate_jobs;
BEGIN
    PERFORM FROM procrastinate_jobs AS j
    WHERE j.status = 'todo' AND j.expires_at <= clock_timestamp()
    ORDER BY j.expires_at
    LIMIT 1;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    FOR _job IN
        WITH late AS MATERIALIZED (
            SELECT j.ctid AS place
            FROM procrastinate_jobs AS j
            WHERE j.status = 'todo' AND j.expires_at <= now()
            ORDER BY j.expires_at
            LIMIT 500
            FOR UPDATE SKIP LOCKED
        )
        UPDATE procrastinate_jobs AS j
        SET status = 'cancelled', finished_at = clock_timestamp(), gate = 0
        FROM late
        WHERE j.ctid = late.place
        RETURNING j.*
    LOOP
        PERFORM note_cancelled_v1(_job, 'expired');
        id := _job.id;
        queue_name := _job.queue_name;
        task_name := _job.task_name;
        RETURN NEXT;
    END LOOP;
END $$
