-- Of every lock that is free, let the first job that stands behind it be ready,
-- or go on to stand behind its limit: it holds the lock there, and no slot of the limit.
-- `limits` must be looked at next.
--
-- First is the highest priority, then the lowest id; a job that is ready but not yet running gives
-- way to a better one that came later. Strict jobs go among themselves by id alone: of them only the first
-- stands for election, and while it waits for its time none does. Only this function makes a job with a lock ready, and only
-- under the lock's advisory lock, so the unique index jobs_occupant never refuses. A lock that
-- another worker is looking at goes back to the notes: that worker may not see what we see.
-- The advisory locks come in a statement of their own: the next one has a fresh snapshot, with all
-- that whoever had them before has committed. Rows that a user's transaction holds are passed over.
-- Indexes: jobs_occupant, jobs_behind, jobs_strict. LATERAL .. LIMIT 1: NOT EXISTS became a quadratic join.
CREATE FUNCTION {schema}.promote_locks_v1(
    _locks text[],
    OUT queues varchar[],
    OUT limits text[]
)
LANGUAGE plpgsql
SET search_path = {schema}, pg_catalog, pg_temp
{planner}
AS $$
DECLARE
    _mine text[];
    _busy text[];
    _demote bigint[];
    _promote bigint[];
BEGIN
    SELECT array_agg(t.lock) FILTER (WHERE t.got), array_agg(t.lock) FILTER (WHERE NOT t.got)
    INTO _mine, _busy
    FROM (
        SELECT s.lock, pg_try_advisory_xact_lock(hashtextextended('{schema}:' || s.lock, 7)) AS got
        FROM (SELECT DISTINCT u.lock FROM unnest(_locks) AS u (lock) ORDER BY u.lock) AS s
    ) AS t;
    IF _busy IS NOT NULL THEN
        INSERT INTO lock_notes (lock) SELECT unnest(_busy);
    END IF;
    SELECT
        array_agg(o.id) FILTER (WHERE o.id IS NOT NULL),
        array_agg(h.id) FILTER (WHERE h.id IS NOT NULL)
    INTO _demote, _promote
    FROM unnest(_mine) AS l (lock)
    LEFT JOIN LATERAL (
        SELECT j.id, j.priority
        FROM procrastinate_jobs AS j
        WHERE j.lock = l.lock AND NOT j.is_strict AND j.status = 'todo' AND j.gate = 2
        ORDER BY j.priority DESC, j.id
        LIMIT 1
        FOR UPDATE SKIP LOCKED
    ) AS p ON true
    LEFT JOIN LATERAL (
        SELECT j.id
        FROM procrastinate_jobs AS j
        WHERE j.lock = l.lock AND j.is_strict AND j.status = 'todo' AND j.gate IN (1, 2)
        ORDER BY j.id
        LIMIT 1
    ) AS s ON true
    LEFT JOIN LATERAL (
        SELECT j.id, j.priority, j.status, j.is_strict
        FROM procrastinate_jobs AS j
        WHERE j.lock = l.lock AND j.gate IN (0, 3, 4, 5, 6) AND j.status IN ('todo', 'doing')
        LIMIT 1
    ) AS o ON true
    LEFT JOIN LATERAL (
        -- Apart, by its id: where it is held, the second of the strict ones must not take its place.
        SELECT j.id, j.priority
        FROM procrastinate_jobs AS j
        WHERE j.id = s.id AND j.status::text = 'todo' AND j.gate = 2
          AND NOT coalesce(o.is_strict AND o.id < s.id, false)
        LIMIT 1
        FOR UPDATE SKIP LOCKED
    ) AS t ON true
    CROSS JOIN LATERAL (
        SELECT c.id, c.priority
        FROM (VALUES (p.id, p.priority), (t.id, t.priority)) AS c (id, priority)
        ORDER BY c.priority DESC NULLS LAST, c.id
        LIMIT 1
    ) AS h
    WHERE (o.id IS NULL AND h.id IS NOT NULL)
       OR (
           o.status = 'todo' AND (
               (o.is_strict AND s.id < o.id)
               OR h.priority > o.priority
               OR (h.priority = o.priority AND h.id < o.id)
           )
       );
    IF _demote IS NOT NULL THEN
        _promote := demote_v1(_demote, _promote);
    END IF;
    IF _promote IS NOT NULL THEN
        WITH moved AS (
            UPDATE procrastinate_jobs AS j
            SET gate = CASE
                WHEN j.limit_key IS NOT NULL THEN 3
                WHEN j.fair_key IS NOT NULL AND j.place IS NULL THEN 6
                ELSE 0
            END
            WHERE j.id = ANY(_promote) AND j.status::text = 'todo' AND j.gate = 2
            RETURNING j.queue_name, j.limit_key, j.gate, j.priority, j.fair_key
        ), noted AS (
            INSERT INTO fair_notes (queue_name, priority, fair_key)
            SELECT DISTINCT moved.queue_name, moved.priority, moved.fair_key
            FROM moved
            WHERE moved.gate = 6
        )
        SELECT
            array_agg(DISTINCT moved.queue_name),
            array_agg(DISTINCT moved.limit_key) FILTER (WHERE moved.limit_key IS NOT NULL)
        INTO queues, limits
        FROM moved;
    END IF;
END $$
