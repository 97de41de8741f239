-- How many ready jobs of its queue are claimed before one job; counting stops above most.
--
-- One row always. What other queues of the same workers hold is not counted.
-- The first ones in the order of their turn are read, not those below an id: for that the planner was
-- seen to walk the primary key over everything else.
-- Index: jobs_ready.
SELECT count(*) AS jobs
FROM (
    SELECT j.id, j.priority, coalesce(j.place, j.id) AS place
    FROM {schema}.procrastinate_jobs AS j
    WHERE j.status = 'todo' AND j.gate = 0 AND j.queue_name = %(queue)s::varchar
    ORDER BY j.priority DESC, coalesce(j.place, j.id)
    LIMIT %(most)s::integer + 1
) AS first
WHERE first.priority > %(priority)s::integer
   OR (first.priority = %(priority)s::integer AND first.place < %(place)s::double precision)
