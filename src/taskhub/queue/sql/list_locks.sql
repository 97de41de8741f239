-- Locks that running jobs have or that jobs wait for, by name, so many of each at most: who has each, and how
-- many wait for it, counted up to most.
--
-- holder_id is NULL where the lock is free. No row back: no job waits for a lock, and none that runs has one.
-- A loose scan over the locks that are waited for. Indexes: jobs_running, jobs_behind, jobs_occupant.
WITH RECURSIVE waited (name) AS (
    (
        SELECT j.lock FROM {schema}.procrastinate_jobs AS j
        WHERE j.status = 'todo' AND j.gate = 2
        ORDER BY j.lock LIMIT 1
    )
    UNION ALL
    SELECT (
        SELECT j.lock FROM {schema}.procrastinate_jobs AS j
        WHERE j.status = 'todo' AND j.gate = 2 AND j.lock > w.name
        ORDER BY j.lock LIMIT 1
    )
    FROM waited AS w
    WHERE w.name IS NOT NULL
), known AS (
    SELECT k.name
    FROM (
        (SELECT waited.name FROM waited LIMIT %(limit)s::integer)
        UNION
        (
            SELECT j.lock
            FROM {schema}.procrastinate_jobs AS j
            WHERE j.status = 'doing' AND j.lock IS NOT NULL
            LIMIT %(limit)s::integer
        )
    ) AS k
    WHERE k.name IS NOT NULL
)
SELECT
    k.name,
    h.id AS holder_id,
    h.task_name AS holder_task,
    h.status::text AS holder_status,
    h.worker_id,
    (
        SELECT count(*)
        FROM (
            SELECT FROM {schema}.procrastinate_jobs AS j
            WHERE j.lock = k.name AND j.status = 'todo' AND j.gate = 2
            LIMIT %(most)s::integer
        ) AS behind
    ) AS waiting
FROM known AS k
LEFT JOIN LATERAL (
    SELECT j.id, j.task_name, j.status, j.worker_id
    FROM {schema}.procrastinate_jobs AS j
    WHERE j.lock = k.name AND j.gate IN (0, 3, 4, 5, 6) AND j.status IN ('todo', 'doing')
    LIMIT 1
) AS h ON true
ORDER BY k.name
