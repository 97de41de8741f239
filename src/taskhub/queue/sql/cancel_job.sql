-- Cancel a job that waits; leave a request with one that runs. The reason stands in the history.
--
-- No row back: it has ended, or there is none. A worker that takes the job meanwhile makes the
-- UPDATE wait and then see `doing`, so one of the two branches always fits.
-- Index: procrastinate_jobs_pkey.
WITH asked AS (
    UPDATE {schema}.procrastinate_jobs
    SET status = CASE status WHEN 'todo' THEN 'cancelled'::{schema}.procrastinate_job_status ELSE status END,
        abort_requested = (status = 'doing'),
        finished_at = CASE status WHEN 'todo' THEN now() ELSE finished_at END
    WHERE id = %(job_id)s::bigint
      AND status IN ('todo', 'doing')
    RETURNING id, claim, attempts, queue_name, task_name, status
), noted AS (
    INSERT INTO {schema}.attempts (
        job_id, claim, attempt, outcome, queue_name, task_name, error_class, error_message
    )
    SELECT id, claim + 1, attempts, 'cancelled', queue_name, task_name, 'Cancelled', %(reason)s::text
    FROM asked
    WHERE status = 'cancelled'
)
SELECT id, queue_name, status::text AS status
FROM asked
