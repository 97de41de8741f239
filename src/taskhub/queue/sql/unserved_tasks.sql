-- Waiting jobs whose queue has a live worker, but none that knows their task in their version, by queue, task
-- and version.
--
-- newest_version is what those workers know of the task, NULL where none has it. No row back: every waiting
-- job in a served queue can be run by somebody. Plain procrastinate workers do not say what they know and
-- are left out.
-- Index: none, it counts what waits in the jobs table.
WITH live AS (
    SELECT r.queues, r.tasks, r.versions
    FROM {schema}.procrastinate_workers AS w
    JOIN {schema}.workers AS r ON r.id = w.id
    WHERE w.last_heartbeat >= now() - make_interval(secs => r.lease_seconds)
      AND coalesce(r.drain, r.draining_at::text) IS NULL
), waiting AS (
    SELECT
        j.queue_name::text AS queue, j.task_name::text AS task, coalesce(j.version, 1) AS version,
        count(*) AS jobs
    FROM {schema}.procrastinate_jobs AS j
    WHERE j.status = 'todo'
    GROUP BY j.queue_name, j.task_name, coalesce(j.version, 1)
)
SELECT waiting.queue, waiting.task, waiting.jobs, waiting.version, known.newest_version
FROM waiting
CROSS JOIN LATERAL (
    SELECT
        count(*) AS workers,
        max(coalesce((live.versions ->> waiting.task)::integer, 1))
            FILTER (WHERE waiting.task = ANY(live.tasks)) AS newest_version
    FROM live
    WHERE live.queues IS NULL OR waiting.queue = ANY(live.queues)
) AS known
WHERE known.workers > 0
  AND coalesce(known.newest_version, 0) < waiting.version
ORDER BY waiting.jobs DESC, waiting.task, waiting.version
LIMIT %(limit)s::integer
