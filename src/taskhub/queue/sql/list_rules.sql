-- The limits and pauses that are in force, with the jobs that run under each, by name; then the keys that
-- tasks declare and that waiting or running jobs have now, 200 of each at most.
--
-- Loose scans over the keys. Indexes: jobs_running, or whatever reads the running jobs, of which there are
-- as many as the fleet has slots; jobs_limited, jobs_slots.
WITH RECURSIVE running AS MATERIALIZED (
    SELECT j.queue_name, j.task_name, j.limit_key, j.at_most
    FROM {schema}.procrastinate_jobs AS j
    WHERE j.status = 'doing'
), waiting (name) AS (
    (
        SELECT j.limit_key FROM {schema}.procrastinate_jobs AS j
        WHERE j.status = 'todo' AND j.gate = 3
        ORDER BY j.limit_key LIMIT 1
    )
    UNION ALL
    SELECT (
        SELECT j.limit_key FROM {schema}.procrastinate_jobs AS j
        WHERE j.status = 'todo' AND j.gate = 3 AND j.limit_key > w.name
        ORDER BY j.limit_key LIMIT 1
    )
    FROM waiting AS w
    WHERE w.name IS NOT NULL
), taken (name) AS (
    (
        SELECT j.limit_key FROM {schema}.procrastinate_jobs AS j
        WHERE j.gate IN (0, 6) AND j.status IN ('todo', 'doing') AND j.limit_key IS NOT NULL
        ORDER BY j.limit_key LIMIT 1
    )
    UNION ALL
    SELECT (
        SELECT j.limit_key FROM {schema}.procrastinate_jobs AS j
        WHERE j.gate IN (0, 6) AND j.status IN ('todo', 'doing') AND j.limit_key > t.name
        ORDER BY j.limit_key LIMIT 1
    )
    FROM taken AS t
    WHERE t.name IS NOT NULL
), declared AS (
    SELECT k.name
    FROM (
        (SELECT waiting.name FROM waiting LIMIT 200)
        UNION
        (SELECT taken.name FROM taken LIMIT 200)
    ) AS k
    WHERE k.name IS NOT NULL
      AND NOT EXISTS (SELECT FROM {schema}.rules AS r WHERE r.name = k.name)
), in_force AS (
    SELECT
        r.name, r.kind, r.at_most, r.reason, r.paused_until, false AS is_declared, r.rate, r.burst,
        r.breaker_failures,
        CASE WHEN coalesce(r.paused_until, 'infinity') > now() THEN r.paused_at END AS paused_at
    FROM {schema}.rules AS r
    UNION ALL
    SELECT
        d.name, 'key',
        coalesce(
            (
                SELECT j.at_most FROM {schema}.procrastinate_jobs AS j
                WHERE j.status = 'todo' AND j.gate = 3 AND j.limit_key = d.name
                ORDER BY j.priority DESC, j.id LIMIT 1
            ),
            (
                SELECT j.at_most FROM {schema}.procrastinate_jobs AS j
                WHERE j.gate IN (0, 6) AND j.status IN ('todo', 'doing') AND j.limit_key = d.name LIMIT 1
            )
        ),
        NULL, NULL, true, NULL, NULL, NULL, NULL
    FROM declared AS d
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
    CASE WHEN f.paused_at IS NOT NULL THEN f.reason END AS reason,
    f.is_declared,
    f.rate AS per_second,
    f.burst,
    CASE WHEN f.rate IS NOT NULL THEN least(
        f.burst,
        coalesce(s.tokens + f.rate * greatest(extract(epoch FROM now() - s.filled_at), 0), f.burst)
    ) END AS tokens,
    floor(s.slots)::integer AS slots,
    CASE
        WHEN f.breaker_failures IS NULL THEN NULL
        WHEN s.opened_at IS NULL THEN 'closed'
        WHEN s.open_until > now() THEN 'open'
        ELSE 'half-open'
    END AS breaker,
    s.open_until,
    s.open_reason
FROM in_force AS f
LEFT JOIN {schema}.limit_states AS s ON s.name = f.name AND f.kind = 'key'
WHERE f.at_most IS NOT NULL OR f.paused_at IS NOT NULL OR f.rate IS NOT NULL OR f.breaker_failures IS NOT NULL
ORDER BY f.is_declared, f.name
