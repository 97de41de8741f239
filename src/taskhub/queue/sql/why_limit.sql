-- The rule of a limit's key, who has its slots, and how many jobs go before one behind it.
--
-- One row always: counting stops above most, the first five holders are named. A slot is taken from
-- the moment a job is ready.
-- The first ones in the order of their turn are read, not those below an id: for that the planner was
-- seen to walk the primary key over everything else.
-- Index: rules_pkey, jobs_slots, jobs_limited.
WITH taken AS MATERIALIZED (
    SELECT j.id, j.status::text AS status, j.worker_id
    FROM {schema}.procrastinate_jobs AS j
    WHERE j.limit_key = %(key)s::text AND j.gate IN (0, 6) AND j.status IN ('todo', 'doing')
    LIMIT %(most)s::integer + 1
), first_taken AS (
    SELECT taken.id, taken.status, taken.worker_id FROM taken ORDER BY taken.status, taken.id LIMIT 5
)
SELECT
    r.at_most AS ruled,
    CASE WHEN coalesce(r.paused_until, 'infinity') > now() THEN r.paused_at END AS paused_at,
    r.paused_until, r.reason,
    (SELECT count(*) FROM taken) AS taken,
    (SELECT count(*) FROM taken WHERE taken.status = 'todo') AS taken_by_ready,
    (
        SELECT json_agg(json_build_object('id', f.id, 'status', f.status, 'worker_id', f.worker_id))
        FROM first_taken AS f
    ) AS holders,
    (
        SELECT count(*)
        FROM (
            SELECT j.id, j.priority
            FROM {schema}.procrastinate_jobs AS j
            WHERE j.limit_key = %(key)s::text AND j.status = 'todo' AND j.gate = 3
            ORDER BY j.priority DESC, j.id
            LIMIT %(most)s::integer + 1
        ) AS first
        WHERE first.priority > %(priority)s::integer
           OR (first.priority = %(priority)s::integer AND first.id < %(job_id)s::bigint)
    ) AS ahead
FROM (SELECT %(key)s::text AS name) AS asked
LEFT JOIN {schema}.rules AS r ON r.name = asked.name
