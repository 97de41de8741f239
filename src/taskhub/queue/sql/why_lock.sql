-- Who has a lock, who is first behind it, and how many go before one job there; counting stops above most.
--
-- One row always; holder_id is NULL where the lock is free, first_id where nobody is behind it.
-- The first ones in the order of their turn are read, not those below an id: for that the planner was
-- seen to walk the primary key over everything else.
-- Index: jobs_occupant, jobs_behind.
SELECT
    (
        SELECT j.id
        FROM {schema}.procrastinate_jobs AS j
        WHERE j.lock = %(lock)s::text AND j.gate IN (0, 3, 4, 5, 6) AND j.status IN ('todo', 'doing')
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
            SELECT j.id, j.priority
            FROM {schema}.procrastinate_jobs AS j
            WHERE j.lock = %(lock)s::text AND j.status = 'todo' AND j.gate = 2
            ORDER BY j.priority DESC, j.id
            LIMIT %(most)s::integer + 1
        ) AS first
        WHERE first.priority > %(priority)s::integer
           OR (first.priority = %(priority)s::integer AND first.id < %(job_id)s::bigint)
    ) AS ahead
