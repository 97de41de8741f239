-- What is said of a job's queue and of its task, and the jobs that run under each; five are named.
--
-- No row for one of which nothing is in force.
-- Index: rules_pkey; jobs_running, which holds as many jobs as the fleet has slots.
WITH running AS MATERIALIZED (
    SELECT j.id, j.queue_name, j.task_name
    FROM {schema}.procrastinate_jobs AS j
    WHERE j.status = 'doing'
      AND EXISTS (
          SELECT 1
          FROM {schema}.rules AS r
          WHERE r.name IN ('queue:' || %(queue)s::text, 'task:' || %(task)s::text)
            AND r.at_most IS NOT NULL
      )
), in_force AS (
    SELECT
        r.name, r.kind, r.at_most, r.paused_until, r.reason,
        CASE WHEN coalesce(r.paused_until, 'infinity') > now() THEN r.paused_at END AS paused_at
    FROM {schema}.rules AS r
    WHERE r.name IN ('queue:' || %(queue)s::text, 'task:' || %(task)s::text)
)
SELECT f.name, f.kind, f.at_most, f.paused_at, f.paused_until, f.reason, counted.running, counted.job_ids
FROM in_force AS f
CROSS JOIN LATERAL (
    SELECT count(*) AS running, (array_agg(u.id ORDER BY u.id))[:5] AS job_ids
    FROM running AS u
    WHERE CASE f.kind
        WHEN 'queue' THEN u.queue_name = %(queue)s::text
        ELSE u.task_name = %(task)s::text
    END
) AS counted
WHERE f.at_most IS NOT NULL OR f.paused_at IS NOT NULL
ORDER BY f.name
