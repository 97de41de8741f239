-- End a job for good, as failed (the dead letter) or aborted, and note the attempt.
--
-- No row back: the job was not ours any more.
-- Index: procrastinate_jobs_pkey.
WITH ended AS (
    UPDATE {schema}.procrastinate_jobs AS j
    SET status = %(status)s::text::{schema}.procrastinate_job_status,
        attempts = j.attempts + 1,
        abort_requested = false,
        finished_at = clock_timestamp()
    WHERE j.id = %(job_id)s::bigint
      AND j.claim = %(claim)s::integer
      AND j.worker_id = %(worker_id)s::bigint
      AND j.status::text = 'doing'
    RETURNING j.id, j.claim, j.attempts, j.queue_name, j.task_name, j.started_at, j.finished_at
)
INSERT INTO {schema}.attempts (
    job_id, claim, attempt, outcome, queue_name, task_name, worker_id, started_at, finished_at,
    error_class, error_message, traceback, fingerprint
)
SELECT
    ended.id, ended.claim, ended.attempts, %(status)s::text::{schema}.attempt_outcome, ended.queue_name,
    ended.task_name, %(worker_id)s::bigint, ended.started_at, ended.finished_at,
    %(error_class)s::text, %(error_message)s::text, %(traceback)s::text, %(fingerprint)s::text
FROM ended
RETURNING job_id
