-- A job of the same queue that workers were lost with: before it, and beside it, they take no other.
--
-- No row back: none waits or runs.
-- Index: jobs_suspect; jobs_running for those that run.
SELECT found.id, found.lost, found.status
FROM (
    (
        SELECT j.id, j.lost, 'todo' AS status
        FROM {schema}.procrastinate_jobs AS j
        WHERE j.status = 'todo' AND j.gate = 0 AND j.lost >= 2
          AND j.queue_name = %(queue)s::varchar
          AND j.id <> %(job_id)s::bigint
        ORDER BY j.id
        LIMIT 1
    )
    UNION ALL
    (
        SELECT j.id, j.lost, 'doing'
        FROM {schema}.procrastinate_jobs AS j
        WHERE j.status = 'doing' AND j.lost >= 2
          AND j.queue_name = %(queue)s::varchar
        LIMIT 1
    )
) AS found
LIMIT 1
