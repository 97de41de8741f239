-- Waiting jobs whose queue has a live worker, but none that knows their task in their version, by queue, task
-- and version.
--
-- newest_version is what those workers know of the task, NULL where none has it. No row back: every waiting
-- job in a served queue can be run by somebody. Plain procrastinate workers do not say what they know and
-- are left out.
-- Of ready jobs the first thousand of each queue and priority are looked at, of those behind a gate two thousand:
-- who is set aside for its task stands at gate 4. Run it as measure_queues.
-- Index: as measure_queues.
WITH RECURSIVE live AS (
    SELECT r.queues, r.tasks, r.versions
    FROM {schema}.procrastinate_workers AS w
    JOIN {schema}.workers AS r ON r.id = w.id
    WHERE w.last_heartbeat >= now() - make_interval(secs => r.lease_seconds)
      AND coalesce(r.drain, r.draining_at::text) IS NULL
), lanes (queue_name, priority, n) AS (
{ready_lanes}
), waiting AS (
    SELECT
        w.queue_name::text AS queue, w.task_name::text AS task, coalesce(w.version, 1) AS version,
        count(*) AS jobs
    FROM (
        SELECT first.queue_name, first.task_name, first.version
        FROM lanes
        CROSS JOIN LATERAL (
            SELECT j.queue_name, j.task_name, j.version
            FROM {schema}.procrastinate_jobs AS j
            WHERE j.status = 'todo' AND j.gate = 0
              AND j.queue_name = lanes.queue_name AND j.priority = lanes.priority
            ORDER BY coalesce(j.place, j.id)
            LIMIT 1000
        ) AS first
        UNION ALL
        (
            SELECT j.queue_name, j.task_name, j.version
            FROM {schema}.procrastinate_jobs AS j
            WHERE j.status = 'todo' AND j.gate = 1
            LIMIT 2000
        )
        UNION ALL
        (
            SELECT j.queue_name, j.task_name, j.version
            FROM {schema}.procrastinate_jobs AS j
            WHERE j.status = 'todo' AND j.gate = 2
            LIMIT 2000
        )
        UNION ALL
        (
            SELECT j.queue_name, j.task_name, j.version
            FROM {schema}.procrastinate_jobs AS j
            WHERE j.status = 'todo' AND j.gate = 3
            LIMIT 2000
        )
        UNION ALL
        (
            SELECT j.queue_name, j.task_name, j.version
            FROM {schema}.procrastinate_jobs AS j
            WHERE j.status = 'todo' AND j.gate = 4
            LIMIT 2000
        )
        UNION ALL
        (
            SELECT j.queue_name, j.task_name, j.version
            FROM {schema}.procrastinate_jobs AS j
            WHERE j.status = 'todo' AND j.gate = 5
            LIMIT 2000
        )
        UNION ALL
        (
            SELECT j.queue_name, j.task_name, j.version
            FROM {schema}.procrastinate_jobs AS j
            WHERE j.status = 'todo' AND j.gate = 6
            LIMIT 2000
        )
    ) AS w
    GROUP BY w.queue_name, w.task_name, coalesce(w.version, 1)
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
