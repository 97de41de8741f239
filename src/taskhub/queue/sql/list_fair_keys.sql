-- The fair keys with jobs that wait for their turns in a queue, by name: how many, counted up to 10,000
-- a priority, and the weight.
--
-- A loose scan, then a count of each key's own jobs. Index: jobs_fair.
WITH RECURSIVE found AS (
    (
        SELECT j.priority, j.fair_key
        FROM {schema}.procrastinate_jobs AS j
        WHERE j.status = 'todo' AND j.gate = 6 AND j.queue_name = %(queue)s::varchar
        ORDER BY j.priority, j.fair_key
        LIMIT 1
    )
    UNION ALL
    SELECT n.priority, n.fair_key
    FROM found
    CROSS JOIN LATERAL (
        SELECT j.priority, j.fair_key
        FROM {schema}.procrastinate_jobs AS j
        WHERE j.status = 'todo' AND j.gate = 6 AND j.queue_name = %(queue)s::varchar
          AND (j.priority, j.fair_key) > (found.priority, found.fair_key)
        ORDER BY j.priority, j.fair_key
        LIMIT 1
    ) AS n
)
SELECT
    f.fair_key, sum(waiting.jobs)::bigint AS waiting,
    coalesce((
        SELECT w.weight
        FROM {schema}.fair_weights AS w
        WHERE w.queue_name = %(queue)s::varchar AND w.fair_key = f.fair_key
    ), 1) AS weight
FROM (SELECT found.priority, found.fair_key FROM found LIMIT %(limit)s::integer) AS f
CROSS JOIN LATERAL (
    SELECT count(*) AS jobs
    FROM (
        SELECT FROM {schema}.procrastinate_jobs AS j
        WHERE j.status = 'todo' AND j.gate = 6 AND j.queue_name = %(queue)s::varchar
          AND j.priority = f.priority AND j.fair_key = f.fair_key
        LIMIT 10000
    ) AS counted
) AS waiting
GROUP BY f.fair_key
ORDER BY f.fair_key
