-- The last hour's minutes by queue, the oldest first.
--
-- No row back: nothing happened, or no worker has added it up. Index: the primary key of minutes.
SELECT
    m.queue, m.minute,
    sum(m.deferred)::bigint AS deferred,
    sum(m.succeeded)::bigint AS succeeded,
    sum(m.failed)::bigint AS failed,
    sum(m.retried + m.lost)::bigint AS retried
FROM {schema}.minutes AS m
WHERE m.minute >= %(since)s::timestamptz
GROUP BY m.queue, m.minute
ORDER BY m.queue, m.minute
