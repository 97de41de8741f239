-- Waiting jobs whose queue has a live worker, but none that knows their task, by queue and task.
--
-- No row back: every waiting job in a served queue can be run by somebody. Plain procrastinate
-- workers do not say what they know and are left out.
-- Index: none, it counts what waits in the jobs table.
WITH live AS (
    SELECT r.queues, r.tasks
    FROM {schema}.procrastinate_workers AS w
    JOIN {schema}.workers AS r ON r.id = w.id
    WHERE w.last_heartbeat >= now() - make_interval(secs => r.lease_seconds)
      AND coalesce(r.drain, r.draining_at::text) IS NULL
), waiting AS (
    SELECT j.queue_name::text AS queue, j.task_name::text AS task, count(*) AS jobs
    FROM {schema}.procrastinate_jobs AS j
    WHERE j.status = 'todo'
    GROUP BY j.queue_name, j.task_name
)
SELECT waiting.queue, waiting.task, waiting.jobs
FROM waiting
WHERE EXISTS (
    SELECT 1 FROM live WHERE live.queues IS NULL OR waiting.queue = ANY(live.queues)
)
AND NOT EXISTS (
    SELECT 1
    FROM live
    WHERE (live.queues IS NULL OR waiting.queue = ANY(live.queues))
      AND waiting.task = ANY(live.tasks)
)
ORDER BY waiting.jobs DESC, waiting.task
LIMIT %(limit)s::integer
