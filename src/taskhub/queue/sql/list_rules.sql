-- The limits and pauses that are in force, with the jobs that run under each, by name.
--
-- Index: jobs_running, or whatever reads the running jobs; there are as many as the fleet has slots.
WITH running AS MATERIALIZED (
    SELECT j.queue_name, j.task_name, j.limit_key
    FROM {schema}.procrastinate_jobs AS j
    WHERE j.status = 'doing'
), in_force AS (
    SELECT
        r.name, r.kind, r.at_most, r.reason, r.paused_until,
        CASE WHEN coalesce(r.paused_until, 'infinity') > now() THEN r.paused_at END AS paused_at
    FROM {schema}.rules AS r
)
SELECT
    f.name, f.at_most,
    (
        SELECT count(*)
        FROM running
        WHERE f.name = CASE f.kind
            WHEN 'queue' THEN 'queue:' || running.queue_name
            WHEN 'task' THEN 'task:' || running.task_name
            ELSE running.limit_key
        END
    ) AS running,
    f.paused_at,
    CASE WHEN f.paused_at IS NOT NULL THEN f.paused_until END AS paused_until,
    CASE WHEN f.paused_at IS NOT NULL THEN f.reason END AS reason
FROM in_force AS f
WHERE f.at_most IS NOT NULL OR f.paused_at IS NOT NULL
ORDER BY f.name
