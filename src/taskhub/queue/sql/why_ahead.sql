-- How many ready jobs of its queue are claimed before one job; counting stops above most.
--
-- One row always. What other queues of the same workers hold is not counted.
-- Index: jobs_ready.
SELECT count(*) AS jobs
FROM (
    (
        SELECT 1
        FROM {schema}.procrastinate_jobs AS j
        WHERE j.status = 'todo' AND j.gate = 0 AND j.queue_name = %(queue)s::varchar
          AND j.priority > %(priority)s::integer
        LIMIT %(most)s::integer + 1
    )
    UNION ALL
    (
        SELECT 1
        FROM {schema}.procrastinate_jobs AS j
        WHERE j.status = 'todo' AND j.gate = 0 AND j.queue_name = %(queue)s::varchar
          AND j.priority = %(priority)s::integer
          AND j.id + 0 < %(job_id)s::bigint
        LIMIT %(most)s::integer + 1
    )
    LIMIT %(most)s::integer + 1
) AS before
