-- What the runs since a time come to by task, the most runs first.
--
-- No row back: as minutes_of_queues. Index: the primary key of minutes.
SELECT
    m.task,
    array_agg(DISTINCT m.queue) AS queues,
    sum(m.deferred)::bigint AS deferred,
    sum(m.succeeded)::bigint AS succeeded,
    sum(m.failed)::bigint AS failed,
    sum(m.retried)::bigint AS retried,
    sum(m.lost)::bigint AS lost,
    max(m.slowest_seconds) AS slowest_seconds,
    (array_agg(m.slowest_job_id ORDER BY m.slowest_seconds DESC NULLS LAST))[1] AS slowest_job_id,
    max(m.minute) FILTER (WHERE m.succeeded > 0) AS last_success_at
FROM {schema}.minutes AS m
WHERE m.minute >= %(since)s::timestamptz
GROUP BY m.task
ORDER BY sum(m.succeeded + m.failed + m.retried + m.lost) DESC, m.task
LIMIT %(limit)s::integer
