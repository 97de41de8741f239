-- The next jobs below an id that succeeded, newest first; an adopted schema may have brought some along.
--
-- Index: the primary keys of attempts, read backwards; jobs_ended.
SELECT found.id
FROM (
    (
        SELECT a.job_id AS id
        FROM {schema}.attempts AS a
        WHERE a.outcome = 'succeeded'
          AND a.job_id < %(before_id)s::bigint
        ORDER BY a.job_id DESC
        LIMIT %(limit)s::integer
    )
    UNION ALL
    (
        SELECT j.id
        FROM {schema}.procrastinate_jobs AS j
        WHERE j.status = 'succeeded'
          AND j.id < %(before_id)s::bigint
        ORDER BY j.id DESC
        LIMIT %(limit)s::integer
    )
) AS found
ORDER BY found.id DESC
LIMIT %(limit)s::integer
