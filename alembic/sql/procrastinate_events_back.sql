-- Give every job the events by which procrastinate finds out how old it is: nothing wrote them while
-- its triggers were gone, and its delete_old_jobs never deletes a job without them.
INSERT INTO procrastinate_events (job_id, type, at)
SELECT j.id, e.type, e.at
FROM procrastinate_jobs AS j
CROSS JOIN LATERAL (
    VALUES
        ('deferred'::procrastinate_job_event_type, j.deferred_at),
        (CASE WHEN j.status = 'doing' THEN 'started'::procrastinate_job_event_type END, j.started_at),
        (
            CASE j.status
                WHEN 'succeeded' THEN 'succeeded'::procrastinate_job_event_type
                WHEN 'failed' THEN 'failed'
                WHEN 'cancelled' THEN 'cancelled'
                WHEN 'aborted' THEN 'aborted'
            END,
            j.finished_at
        )
) AS e (type, at)
WHERE e.type IS NOT NULL
  AND e.at IS NOT NULL
  AND NOT EXISTS (
    SELECT FROM procrastinate_events AS known
    WHERE known.job_id = j.id AND known.type = e.type
  )
ORDER BY e.at, j.id
