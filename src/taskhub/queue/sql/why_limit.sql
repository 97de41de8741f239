-- The rule of a limit's key, what has become of it, who has its slots, and how many jobs go before one behind
-- it, with the tokens that these take of its rate.
--
-- One row always: counting stops above most, the first five holders are named. A slot is taken from
-- the moment a job is ready. `tokens_left` is what the bucket can give now, see bucket_v1, which reads all
-- ready and running jobs of the key: promised tokens are off it already; NULL without a rate.
-- The first ones in the order of their turn are read, not those below an id: for that the planner was
-- seen to walk the primary key over everything else.
-- Index: rules_pkey, limit_states_pkey, jobs_slots, jobs_limited.
WITH taken AS MATERIALIZED (
    SELECT j.id, j.status::text AS status, j.worker_id, coalesce(j.tokens, 1) AS tokens
    FROM {schema}.procrastinate_jobs AS j
    WHERE j.limit_key = %(key)s::text AND j.gate IN (0, 6) AND j.status IN ('todo', 'doing')
    LIMIT %(most)s::integer + 1
), first_taken AS (
    SELECT taken.id, taken.status, taken.worker_id FROM taken ORDER BY taken.status, taken.id LIMIT 5
), held AS (
    SELECT
        count(*) AS taken,
        count(*) FILTER (WHERE taken.status = 'todo') AS taken_by_ready,
        coalesce(sum(taken.tokens) FILTER (WHERE taken.status = 'todo'), 0)::double precision AS promised
    FROM taken
), waiting AS MATERIALIZED (
    SELECT j.id, j.priority, j.at_most, coalesce(j.tokens, 1) AS tokens
    FROM {schema}.procrastinate_jobs AS j
    WHERE j.limit_key = %(key)s::text AND j.status = 'todo' AND j.gate = 3
    ORDER BY j.priority DESC, j.id
    LIMIT %(most)s::integer + 1
), before AS (
    SELECT count(*) AS jobs, coalesce(sum(w.tokens), 0)::double precision AS tokens
    FROM waiting AS w
    WHERE w.priority > %(priority)s::integer
       OR (w.priority = %(priority)s::integer AND w.id < %(job_id)s::bigint)
), first AS (
    SELECT w.id, w.at_most, w.tokens FROM waiting AS w ORDER BY w.priority DESC, w.id LIMIT 1
)
SELECT
    r.at_most AS ruled, r.rate, r.burst, r.breaker_failures,
    CASE WHEN coalesce(r.paused_until, 'infinity') > now() THEN r.paused_at END AS paused_at,
    r.paused_until, r.reason,
    held.taken, held.taken_by_ready, held.promised,
    (
        SELECT json_agg(json_build_object('id', f.id, 'status', f.status, 'worker_id', f.worker_id))
        FROM first_taken AS f
    ) AS holders,
    before.jobs AS ahead, before.tokens AS tokens_ahead,
    first.id AS first_id, first.at_most AS first_at_most, first.tokens AS first_tokens,
    CASE
        WHEN r.rate IS NOT NULL
        THEN (SELECT b.tokens FROM {schema}.bucket_v1(r.name, r.rate, r.burst) AS b)
    END AS tokens_left,
    floor(s.slots)::integer AS slots, s.most AS slots_at_most, s.halved_at,
    CASE WHEN r.breaker_failures IS NOT NULL THEN s.opened_at END AS opened_at,
    s.open_until, s.open_reason, s.opens, s.probe_id
FROM (SELECT %(key)s::text AS name) AS asked
CROSS JOIN held
CROSS JOIN before
LEFT JOIN first ON true
LEFT JOIN {schema}.rules AS r ON r.name = asked.name
LEFT JOIN {schema}.limit_states AS s ON s.name = asked.name
