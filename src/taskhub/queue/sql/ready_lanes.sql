-- The queues that have ready jobs, with each priority of theirs, at most a thousand; a part of other
-- statements, as the recursive lanes (queue_name, priority, n).
--
-- From one to the next by the index jobs_ready, never over the jobs between.
    (
        SELECT j.queue_name, j.priority, 1
        FROM {schema}.procrastinate_jobs AS j
        WHERE j.status = 'todo' AND j.gate = 0
        ORDER BY j.queue_name, j.priority DESC
        LIMIT 1
    )
    UNION ALL
    SELECT next.queue_name, next.priority, lanes.n + 1
    FROM lanes
    CROSS JOIN LATERAL (
        SELECT either.queue_name, either.priority
        FROM (
            (
                SELECT 1 AS choice, j.queue_name, j.priority
                FROM {schema}.procrastinate_jobs AS j
                WHERE j.status = 'todo' AND j.gate = 0
                  AND j.queue_name = lanes.queue_name AND j.priority < lanes.priority
                ORDER BY j.priority DESC
                LIMIT 1
            )
            UNION ALL
            (
                SELECT 2, j.queue_name, j.priority
                FROM {schema}.procrastinate_jobs AS j
                WHERE j.status = 'todo' AND j.gate = 0 AND j.queue_name > lanes.queue_name
                ORDER BY j.queue_name, j.priority DESC
                LIMIT 1
            )
        ) AS either
        ORDER BY either.choice
        LIMIT 1
    ) AS next
    WHERE lanes.n < 1000
