-- Who has a lock, who is first behind it, how many go before one job there, and which strict job that waits
-- for its time holds it up; counting stops above most.
--
-- One row always; holder_id is NULL where the lock is free, first_id where nobody can go on, early_id
-- where no strict job before this one waits for its time.
-- Strict jobs go among themselves by id, the first of them and the others by priority, then by id: see
-- promote_locks_v1. So before a strict job go those that are better than the worst of the strict ones
-- up to it; before another one goes each strict job until one that is not better, or waits for its time.
-- The first ones in the order of their turn are read, not those below an id: for that the planner was
-- seen to walk the primary key over everything else.
-- Index: jobs_occupant, jobs_behind, jobs_strict.
WITH strict AS MATERIALIZED (
    SELECT j.id, j.priority, j.gate, j.scheduled_at
    FROM {schema}.procrastinate_jobs AS j
    WHERE j.lock = %(lock)s::text AND j.is_strict AND j.status = 'todo' AND j.gate IN (1, 2)
    ORDER BY j.id
    LIMIT %(most)s::integer + 1
), plain AS MATERIALIZED (
    SELECT j.id, j.priority
    FROM {schema}.procrastinate_jobs AS j
    WHERE j.lock = %(lock)s::text AND NOT j.is_strict AND j.status = 'todo' AND j.gate = 2
    ORDER BY j.priority DESC, j.id
    LIMIT %(most)s::integer + 1
), worst AS (
    SELECT w.priority, w.id
    FROM (
        SELECT %(priority)s::integer AS priority, %(job_id)s::bigint AS id
        UNION ALL
        SELECT s.priority, s.id
        FROM strict AS s
        WHERE %(is_strict)s::boolean AND s.id < %(job_id)s::bigint
    ) AS w
    ORDER BY w.priority, w.id DESC
    LIMIT 1
), stop AS (
    SELECT coalesce(min(s.id), 9223372036854775807) AS id
    FROM strict AS s
    WHERE CASE
        WHEN %(is_strict)s::boolean THEN s.id >= %(job_id)s::bigint
        ELSE s.gate = 1 OR s.priority < %(priority)s::integer
          OR (s.priority = %(priority)s::integer AND s.id > %(job_id)s::bigint)
    END
), early AS (
    SELECT s.id, s.scheduled_at
    FROM strict AS s
    WHERE %(is_strict)s::boolean AND s.gate = 1 AND s.id < %(job_id)s::bigint
    ORDER BY s.id
    LIMIT 1
)
SELECT
    (
        SELECT j.id
        FROM {schema}.procrastinate_jobs AS j
        WHERE j.lock = %(lock)s::text AND j.gate IN (0, 3, 4, 5, 6) AND j.status IN ('todo', 'doing')
        LIMIT 1
    ) AS holder_id,
    (
        SELECT f.id
        FROM (
            (SELECT p.id, p.priority FROM plain AS p ORDER BY p.priority DESC, p.id LIMIT 1)
            UNION ALL
            SELECT h.id, h.priority
            FROM (SELECT s.id, s.priority, s.gate FROM strict AS s ORDER BY s.id LIMIT 1) AS h
            WHERE h.gate = 2
        ) AS f
        ORDER BY f.priority DESC, f.id
        LIMIT 1
    ) AS first_id,
    least(
        (SELECT count(*) FROM strict AS s, stop WHERE s.id < stop.id)
        + (
            SELECT count(*)
            FROM plain AS p, worst AS w
            WHERE p.priority > w.priority OR (p.priority = w.priority AND p.id < w.id)
        ),
        %(most)s::integer + 1
    ) AS ahead,
    (SELECT early.id FROM early) AS early_id,
    (SELECT early.scheduled_at FROM early) AS early_at
