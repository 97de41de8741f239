-- Who has a lock, who is first behind it, and how many go before one job there; counting stops above most.
--
-- One row always; holder_id is NULL where the lock is free, first_id where nobody is behind it.
-- Index: jobs_occupant, jobs_behind.
SELECT
    (
        SELECT j.id
        FROM {schema}.procrastinate_jobs AS j
        WHERE j.lock = %(lock)s::text AND j.gate IN (0, 3, 5) AND j.status IN ('todo', 'doing')
        LIMIT 1
    ) AS holder_id,
    (
        SELECT j.id
        FROM {schema}.procrastinate_jobs AS j
        WHERE j.lock = %(lock)s::text AND j.status = 'todo' AND j.gate = 2
        ORDER BY j.priority DESC, j.id
        LIMIT 1
    ) AS first_id,
    (
        SELECT count(*)
        FROM (
            (
                SELECT 1
                FROM {schema}.procrastinate_jobs AS j
                WHERE j.lock = %(lock)s::text AND j.status = 'todo' AND j.gate = 2
                  AND j.priority > %(priority)s::integer
                LIMIT %(most)s::integer + 1
            )
            UNION ALL
            (
                SELECT 1
                FROM {schema}.procrastinate_jobs AS j
                WHERE j.lock = %(lock)s::text AND j.status = 'todo' AND j.gate = 2
                  AND j.priority = %(priority)s::integer AND j.id < %(job_id)s::bigint
                LIMIT %(most)s::integer + 1
            )
            LIMIT %(most)s::integer + 1
        ) AS before
    ) AS ahead
