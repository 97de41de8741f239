-- What runs now, by worker and job, with how far it is where its task says so.
--
-- No row back: nothing runs. Index: jobs_running; progress_pkey.
SELECT
    j.id AS job_id, j.worker_id, j.task_name AS task, j.queue_name AS queue, j.attempts + 1 AS attempt,
    extract(epoch FROM clock_timestamp() - j.started_at)::double precision AS seconds,
    p.done, p.out_of, p.note
FROM {schema}.procrastinate_jobs AS j
LEFT JOIN {schema}.progress AS p ON p.job_id = j.id AND p.claim = j.claim
WHERE j.status = 'doing'
ORDER BY j.worker_id, j.id
LIMIT %(limit)s::integer
