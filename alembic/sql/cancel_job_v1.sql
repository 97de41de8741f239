-- procrastinate's cancel, for everybody's clients: a waiting job is cancelled or deleted, a running
-- one is asked to stop if `abort` says so.
--
-- The request to one of our workers is a row of its own, never on the job's: a transactional task
-- under REPEATABLE READ could not store its outcome any more. No id back: it has ended, or is none.
CREATE OR REPLACE FUNCTION {schema}.procrastinate_cancel_job_v1(
    job_id bigint,
    abort boolean,
    delete_job boolean
) RETURNS bigint
LANGUAGE plpgsql
SET search_path = {schema}, pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    _job procrastinate_jobs;
BEGIN
    UPDATE procrastinate_jobs AS j
    SET status = 'cancelled',
        abort_requested = abort,
        finished_at = clock_timestamp(),
        gate = 0
    WHERE j.id = $1 AND j.status = 'todo'
    RETURNING j.* INTO _job;
    IF FOUND THEN
        PERFORM note_cancelled_v1(_job, NULL);
        IF delete_job THEN
            DELETE FROM procrastinate_jobs AS j WHERE j.id = $1;
        END IF;
        RETURN _job.id;
    END IF;
    IF abort THEN
        RETURN ask_to_stop_v1($1, NULL);
    END IF;
    RETURN NULL;
END $$
