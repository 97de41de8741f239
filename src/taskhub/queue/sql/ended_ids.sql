-- The next jobs below an id that ended in one of these ways and stand in the jobs table, newest first.
--
-- Index: jobs_ended, once for each status.
SELECT found.id
FROM unnest(%(statuses)s::text[]) AS s (status)
CROSS JOIN LATERAL (
    SELECT j.id
    FROM {schema}.procrastinate_jobs AS j
    WHERE j.status = s.status::{schema}.procrastinate_job_status
      AND j.status IN ('failed', 'cancelled', 'aborted')
      AND j.id < %(before_id)s::bigint
    ORDER BY j.id DESC
    LIMIT %(limit)s::integer
) AS found
ORDER BY found.id DESC
LIMIT %(limit)s::integer
