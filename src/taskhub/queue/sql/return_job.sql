-- Let a job wait again: it is retried, snoozed, or was interrupted by a shutdown.
--
-- No row back: the job was not ours any more. A unique violation: a job with its queueing lock
-- waits already. The wait counts on the database's clock.
-- Index: procrastinate_jobs_pkey.
WITH back AS (
    UPDATE {schema}.procrastinate_jobs AS j
    SET status = 'todo',
        attempts = j.attempts + %(used)s::integer,
        scheduled_at = coalesce(
            %(at)s::timestamptz,
            clock_timestamp() + make_interval(secs => %(delay_seconds)s::double precision)
        ),
        priority = coalesce(%(priority)s::integer, j.priority),
        queue_name = coalesce(%(queue_name)s::varchar, j.queue_name),
        lock = coalesce(%(lock)s::text, j.lock),
        queueing_lock = CASE WHEN %(keep_queueing_lock)s::boolean THEN j.queueing_lock END,
        abort_requested = false,
        worker_id = NULL
    WHERE j.id = %(job_id)s::bigint
      AND j.claim = %(claim)s::integer
      AND j.worker_id = %(worker_id)s::bigint
      AND j.status::text = 'doing'
    RETURNING j.id, j.claim, j.attempts, j.queue_name, j.task_name, j.started_at
)
INSERT INTO {schema}.attempts (
    job_id, claim, attempt, outcome, queue_name, task_name, worker_id, started_at, finished_at,
    error_class, error_message, traceback, fingerprint
)
SELECT
    back.id, back.claim, back.attempts + 1 - %(used)s::integer,
    %(outcome)s::text::{schema}.attempt_outcome, back.queue_name, back.task_name, %(worker_id)s::bigint,
    back.started_at, clock_timestamp(), %(error_class)s::text, %(error_message)s::text,
    %(traceback)s::text, %(fingerprint)s::text
FROM back
RETURNING job_id
