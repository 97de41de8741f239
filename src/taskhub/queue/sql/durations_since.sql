-- How long runs took since a time, by queue, or by task where by_task, in the buckets of add_up_minutes.
--
-- No row back: as minutes_of_queues. Index: the primary key of minutes.
SELECT
    b.name,
    array_agg(b.bucket ORDER BY b.bucket) AS buckets,
    array_agg(b.runs ORDER BY b.bucket) AS counts
FROM (
    SELECT
        CASE WHEN %(by_task)s::boolean THEN m.task ELSE m.queue END AS name, u.bucket,
        sum(u.runs)::bigint AS runs
    FROM {schema}.minutes AS m
    CROSS JOIN LATERAL unnest(m.buckets, m.counts) AS u (bucket, runs)
    WHERE m.minute >= %(since)s::timestamptz
    GROUP BY 1, 2
) AS b
GROUP BY b.name
