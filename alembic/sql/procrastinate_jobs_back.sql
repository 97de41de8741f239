-- Give every job that succeeded, and so moved to the history, its row again.
--
-- A job that still has a row was finished by a plain worker, or failed and was tried again: its row
-- is right as it stands.
INSERT INTO procrastinate_jobs (
    id, queue_name, task_name, priority, lock, queueing_lock, args, status, attempts,
    deferred_at, started_at, finished_at
)
SELECT
    a.job_id, a.queue_name, a.task_name, coalesce(a.priority, 0), a.lock, a.queueing_lock,
    coalesce(a.args, '{}'), 'succeeded', a.attempt,
    coalesce(a.deferred_at, a.started_at, a.finished_at), a.started_at, a.finished_at
FROM attempts AS a
WHERE a.outcome = 'succeeded'
ON CONFLICT (id) DO NOTHING
