-- Where the fair key of a job stands in its lane: its weight, how many keys have their turns before it, how
-- many jobs of the key itself go first, and how many of the lane are drawn already; counting stops above most.
--
-- One row always; turn is NULL where no worker has noted the key yet.
-- Index: fair_keys_pkey, fair_keys_turn, fair_weights_pkey, jobs_fair, jobs_window.
WITH own AS MATERIALIZED (
    SELECT k.turn
    FROM {schema}.fair_keys AS k
    WHERE k.queue_name = %(queue)s::varchar AND k.priority = %(priority)s::integer
      AND k.fair_key = %(fair_key)s::text
)
SELECT
    (SELECT own.turn FROM own) AS turn,
    coalesce((
        SELECT w.weight
        FROM {schema}.fair_weights AS w
        WHERE w.queue_name = %(queue)s::varchar AND w.fair_key = %(fair_key)s::text
    ), 1) AS weight,
    (
        SELECT count(*)
        FROM (
            SELECT FROM {schema}.fair_keys AS k
            WHERE k.queue_name = %(queue)s::varchar AND k.priority = %(priority)s::integer
              AND k.turn > '-infinity' AND k.turn < (SELECT own.turn FROM own)
            ORDER BY k.turn
            LIMIT %(most)s::integer + 1
        ) AS counted
    ) AS keys_before,
    (
        SELECT count(*)
        FROM (
            SELECT j.id
            FROM {schema}.procrastinate_jobs AS j
            WHERE j.status = 'todo' AND j.gate = 6 AND j.queue_name = %(queue)s::varchar
              AND j.priority = %(priority)s::integer AND j.fair_key = %(fair_key)s::text
            ORDER BY j.id
            LIMIT %(most)s::integer + 1
        ) AS first
        WHERE first.id < %(job_id)s::bigint
    ) AS ahead,
    (
        SELECT count(*)
        FROM (
            SELECT FROM {schema}.procrastinate_jobs AS j
            WHERE j.status = 'todo' AND j.gate = 0 AND j.place IS NOT NULL
              AND j.queue_name = %(queue)s::varchar AND j.priority = %(priority)s::integer
            LIMIT %(most)s::integer + 1
        ) AS counted
    ) AS drawn
