-- Cancel a job that waits, or ask whoever runs it to stop; no id: it has ended, or is none.
CREATE FUNCTION {schema}.cancel_v1(
    _job_id bigint,
    _reason text,
    OUT id bigint,
    OUT queue_name varchar,
    OUT status text
)
LANGUAGE plpgsql
SET search_path = {schema}, pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    _job procrastinate_jobs;
BEGIN
    UPDATE procrastinate_jobs AS j
    SET status = 'cancelled', finished_at = clock_timestamp(), gate = 0
    WHERE j.id = _job_id AND j.status = 'todo'
    RETURNING j.* INTO _job;
    IF FOUND THEN
        PERFORM note_cancelled_v1(_job, _reason);
    ELSIF ask_to_stop_v1(_job_id, _reason) IS NOT NULL THEN
        SELECT j.* INTO _job FROM procrastinate_jobs AS j WHERE j.id = _job_id;
    END IF;
    id := _job.id;
    queue_name := _job.queue_name;
    status := _job.status;
END $$
