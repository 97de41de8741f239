-- procrastinate's retry, for its own workers and clients: a job that runs or has failed waits again.
CREATE OR REPLACE FUNCTION {schema}.procrastinate_retry_job_v2(
    job_id bigint,
    retry_at timestamp with time zone,
    new_priority integer,
    new_queue_name character varying,
    new_lock character varying
) RETURNS void
LANGUAGE plpgsql
SET search_path = {schema}, pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    _job procrastinate_jobs;
BEGIN
    SELECT j.* INTO _job
    FROM procrastinate_jobs AS j
    WHERE j.id = $1 AND j.status IN ('doing', 'failed')
    FOR UPDATE;
    IF NOT FOUND THEN
        RAISE 'Job was not found or has an invalid status to retry (job id: %)', $1;
    END IF;
    PERFORM refuse_held_v1(_job);
    UPDATE procrastinate_jobs AS j
    SET status = CASE WHEN j.status = 'doing' AND j.abort_requested THEN 'failed' ELSE 'todo' END
            ::procrastinate_job_status,
        gate = CASE
            WHEN j.status = 'doing' AND j.abort_requested THEN 0
            ELSE gate_of_v1(
                retry_at > clock_timestamp(), coalesce(new_lock, j.lock), j.limit_key, j.fair_key
            )
        END,
        abort_requested = false,
        attempts = j.attempts + 1,
        lost = 0,
        interrupted = 0,
        scheduled_at = retry_at,
        finished_at = NULL,
        expires_at = CASE
            WHEN j.status = 'doing' OR j.expires_at > clock_timestamp() THEN j.expires_at
        END,
        worker_id = NULL,
        priority = coalesce(new_priority, j.priority),
        queue_name = coalesce(new_queue_name, j.queue_name),
        lock = coalesce(new_lock, j.lock),
        place = NULL
    WHERE j.id = $1;
    INSERT INTO fair_notes (queue_name, priority, fair_key)
    SELECT j.queue_name, j.priority, j.fair_key FROM procrastinate_jobs AS j WHERE j.id = $1 AND j.gate = 6;
    INSERT INTO attempts (
        job_id, claim, attempt, outcome, queue_name, task_name, worker_id, started_at
    )
    SELECT
        _job.id, _job.claim, _job.attempts + 1,
        CASE WHEN _job.abort_requested THEN 'failed' ELSE 'retried' END::attempt_outcome,
        _job.queue_name, _job.task_name, _job.worker_id, _job.started_at
    WHERE _job.status = 'doing';
    INSERT INTO lock_notes (lock)
    SELECT DISTINCT l.lock FROM unnest(ARRAY[_job.lock, new_lock]) AS l (lock) WHERE l.lock IS NOT NULL;
    INSERT INTO lock_notes (lock, is_limit)
    SELECT _job.limit_key, true WHERE _job.limit_key IS NOT NULL;
    INSERT INTO procrastinate_events (job_id, type)
    VALUES ($1, CASE _job.status WHEN 'doing' THEN 'deferred_for_retry' ELSE 'retried' END
        ::procrastinate_job_event_type);
    PERFORM pg_notify('{schema}', coalesce(new_queue_name, _job.queue_name));
END $$
