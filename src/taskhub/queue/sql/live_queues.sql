-- What live workers serve, and all queues that somebody has said something of: a pause, the last day's runs.
--
-- A worker is live while its heartbeat is younger than its lease and it does not drain; queue is NULL in the
-- row of those that serve all. No row back: nobody knows of any queue.
-- Index: none, workers and rules are few; the primary key of minutes.
WITH live AS (
    SELECT w.id, r.queues, coalesce(r.concurrency, 1) AS slots
    FROM {schema}.procrastinate_workers AS w
    LEFT JOIN {schema}.workers AS r ON r.id = w.id
    WHERE w.last_heartbeat >= now() - make_interval(secs => coalesce(r.lease_seconds, 60))
      AND coalesce(r.drain, r.draining_at::text) IS NULL
), served AS (
    SELECT q.queue, count(*) AS workers, sum(live.slots) AS slots
    FROM live
    CROSS JOIN LATERAL unnest(coalesce(live.queues, ARRAY[NULL])) AS q (queue)
    GROUP BY q.queue
), named AS (
    SELECT substr(r.name, 7) AS queue, r.paused_at, r.paused_until, r.reason
    FROM {schema}.rules AS r
    WHERE r.kind = 'queue'
), lately AS (
    SELECT DISTINCT m.queue
    FROM {schema}.minutes AS m
    WHERE m.minute >= now() - interval '1 hour'
)
SELECT
    names.queue, coalesce(served.workers, 0) AS workers, coalesce(served.slots, 0) AS slots,
    CASE WHEN named.paused_until IS NULL OR named.paused_until > now() THEN named.paused_at END AS paused_at,
    named.paused_until, named.reason AS pause_reason
FROM (
    SELECT served.queue FROM served
    UNION
    SELECT named.queue FROM named
    UNION
    SELECT lately.queue FROM lately
) AS names
LEFT JOIN served ON served.queue IS NOT DISTINCT FROM names.queue
LEFT JOIN named ON named.queue = names.queue
ORDER BY names.queue
