-- What the tables of an older 3.x lack, and what later versions have dropped.
--
-- From procrastinate's migrations 03.00.00 to 03.04.00 (MIT, see LICENSE.procrastinate), each step by
-- what is there: a schema may stand before or behind each version's "post" migration.
DO $do$
DECLARE
    _function regprocedure;
BEGIN
    -- 3.1
    ALTER TABLE procrastinate_jobs ADD COLUMN IF NOT EXISTS worker_id bigint;
    -- 3.0, post: `aborting` is no state any more, but a request beside `doing`. The triggers of
    -- before it and the indexes that know the state go first.
    DROP TRIGGER IF EXISTS procrastinate_jobs_notify_queue ON procrastinate_jobs;
    DROP TRIGGER IF EXISTS procrastinate_jobs_notify_queue_job_inserted_temp ON procrastinate_jobs;
    DROP TRIGGER IF EXISTS procrastinate_jobs_notify_queue_job_aborted_temp ON procrastinate_jobs;
    DROP TRIGGER IF EXISTS procrastinate_trigger_delete_jobs ON procrastinate_jobs;
    DROP TRIGGER IF EXISTS procrastinate_trigger_scheduled_events ON procrastinate_jobs;
    DROP TRIGGER IF EXISTS procrastinate_trigger_status_events_insert ON procrastinate_jobs;
    DROP TRIGGER IF EXISTS procrastinate_trigger_status_events_update ON procrastinate_jobs;
    DROP TRIGGER IF EXISTS procrastinate_trigger_sync_abort_requested_with_status_temp
        ON procrastinate_jobs;
    DROP INDEX IF EXISTS
        procrastinate_jobs_queueing_lock_idx, procrastinate_jobs_lock_idx,
        procrastinate_jobs_id_lock_idx, procrastinate_jobs_queue_name_idx,
        procrastinate_jobs_priority_idx, procrastinate_events_job_id_fkey,
        procrastinate_periodic_defers_job_id_fkey;
    IF NOT EXISTS (
        SELECT FROM pg_constraint AS c
        WHERE c.conrelid = 'procrastinate_jobs'::regclass
          AND c.conname = 'check_not_todo_abort_requested'
    ) THEN
        UPDATE procrastinate_jobs AS j
        SET status = 'doing', abort_requested = true
        WHERE j.status = 'aborting';
        UPDATE procrastinate_jobs AS j
        SET abort_requested = false
        WHERE j.status = 'todo' AND j.abort_requested;
        ALTER TABLE procrastinate_jobs ADD CONSTRAINT check_not_todo_abort_requested
            CHECK (NOT (status = 'todo' AND abort_requested = true));
    END IF;
    -- All: functions whose names no later version has.
    FOR _function IN
        SELECT p.oid::regprocedure
        FROM pg_proc AS p
        WHERE p.pronamespace = current_schema::regnamespace
          AND p.proname IN (
            'procrastinate_cancel_job', 'procrastinate_defer_job', 'procrastinate_defer_job_v1',
            'procrastinate_defer_periodic_job', 'procrastinate_defer_periodic_job_v1',
            'procrastinate_fetch_job', 'procrastinate_fetch_job_v1', 'procrastinate_finish_job',
            'procrastinate_notify_queue', 'procrastinate_retry_job',
            'procrastinate_sync_abort_requested_with_status_temp',
            'procrastinate_trigger_scheduled_events_procedure',
            'procrastinate_trigger_status_events_procedure_insert',
            'procrastinate_trigger_status_events_procedure_update',
            'procrastinate_unlink_periodic_defers'
          )
    LOOP
        EXECUTE format('DROP FUNCTION %s', _function);
    END LOOP;
END $do$
