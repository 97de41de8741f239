-- procrastinate's finish, for its own workers and clients; what our workers run is theirs to finish.
CREATE OR REPLACE FUNCTION {schema}.procrastinate_finish_job_v1(
    job_id bigint,
    end_status {schema}.procrastinate_job_status,
    delete_job boolean
) RETURNS void
LANGUAGE plpgsql
SET search_path = {schema}, pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    _job procrastinate_jobs;
BEGIN
    IF end_status NOT IN ('succeeded', 'failed', 'aborted') THEN
        RAISE 'End status should be either "succeeded", "failed" or "aborted" (job id: %)', $1;
    END IF;
    SELECT j.* INTO _job
    FROM procrastinate_jobs AS j
    WHERE j.id = $1 AND j.status IN ('todo', 'doing')
    FOR UPDATE;
    IF NOT FOUND THEN
        RAISE 'Job was not found or not in "doing" or "todo" status (job id: %)', $1;
    END IF;
    PERFORM refuse_held_v1(_job);
    IF _job.lock IS NOT NULL THEN
        INSERT INTO lock_notes (lock) VALUES (_job.lock);
    END IF;
    IF _job.limit_key IS NOT NULL THEN
        INSERT INTO lock_notes (lock, is_limit) VALUES (_job.limit_key, true);
    END IF;
    -- A job that never ran has had no claim: its note in the history uses one up.
    INSERT INTO attempts (
        job_id, claim, attempt, outcome, queue_name, task_name, worker_id, started_at, finished_at,
        priority, lock, queueing_lock, deferred_at, args
    )
    SELECT
        _job.id, _job.claim + (_job.status = 'todo')::integer, _job.attempts + 1,
        end_status::text::attempt_outcome, _job.queue_name, _job.task_name, _job.worker_id,
        _job.started_at, clock_timestamp(), _job.priority, _job.lock, _job.queueing_lock,
        _job.deferred_at, CASE WHEN delete_job THEN _job.args END
    WHERE delete_job OR end_status <> 'succeeded';
    IF delete_job THEN
        DELETE FROM procrastinate_jobs AS j WHERE j.id = $1;
        RETURN;
    END IF;
    UPDATE procrastinate_jobs AS j
    SET status = end_status,
        gate = 0,
        abort_requested = false,
        finished_at = clock_timestamp(),
        claim = j.claim + (j.status = 'todo')::integer,
        attempts = j.attempts + (j.status = 'doing')::integer
    WHERE j.id = $1;
    INSERT INTO procrastinate_events (job_id, type)
    VALUES ($1, end_status::text::procrastinate_job_event_type);
END $$
