-- The next jobs below an id that ended in one of these ways and stand in the jobs table, newest first.
--
-- With queues or tasks (LIKE patterns) only theirs: else who looks for a few would fetch all of them.
-- Index: jobs_ended, once for each status.
SELECT found.id
FROM unnest(%(statuses)s::text[]) AS s (status)
CROSS JOIN LATERAL (
    SELECT j.id
    FROM {schema}.procrastinate_jobs AS j
    WHERE j.status = s.status::{schema}.procrastinate_job_status
      AND j.status IN ('failed', 'cancelled', 'aborted')
      AND j.id < %(before_id)s::bigint
      AND (%(queues)s::text[] IS NULL OR j.queue_name = ANY(%(queues)s::text[]))
      AND (%(tasks)s::text[] IS NULL OR j.task_name LIKE ANY(%(tasks)s::text[]))
    ORDER BY j.id DESC
    LIMIT %(limit)s::integer
) AS found
ORDER BY found.id DESC
LIMIT %(limit)s::integer
