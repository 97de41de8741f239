-- What follows when a waiting job was cancelled: its lock and its slot of a limit are free, the history says why.
CREATE FUNCTION {schema}.note_cancelled_v1(_job {schema}.procrastinate_jobs, _reason text)
RETURNS void
LANGUAGE plpgsql
SET search_path = {schema}, pg_catalog, pg_temp
AS $$
BEGIN
    IF _job.lock IS NOT NULL THEN
        INSERT INTO lock_notes (lock) VALUES (_job.lock);
    END IF;
    IF _job.limit_key IS NOT NULL THEN
        INSERT INTO lock_notes (lock, is_limit) VALUES (_job.limit_key, true);
    END IF;
    INSERT INTO attempts (
        job_id, claim, attempt, outcome, queue_name, task_name, error_class, error_message
    )
    VALUES (
        _job.id, _job.claim + 1, _job.attempts, 'cancelled', _job.queue_name, _job.task_name,
        'Cancelled', _reason
    );
    INSERT INTO procrastinate_events (job_id, type) VALUES (_job.id, 'cancelled');
END $$
