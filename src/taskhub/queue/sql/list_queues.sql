-- What every queue holds that has jobs or a live worker of its own, by name.
--
-- A worker is live while its heartbeat is younger than its lease and it does not drain; without a
-- list of queues it serves all. No row back: there is no job but succeeded ones, and no worker with queues.
-- Index: none, it counts the whole jobs table; what succeeded is not in it.
WITH live AS (
    SELECT w.id, r.queues
    FROM {schema}.procrastinate_workers AS w
    LEFT JOIN {schema}.workers AS r ON r.id = w.id
    WHERE w.last_heartbeat >= now() - make_interval(secs => coalesce(r.lease_seconds, 60))
      AND coalesce(r.drain, r.draining_at::text) IS NULL
), held AS (
    SELECT
        j.queue_name::text AS queue,
        count(*) FILTER (
            WHERE j.status = 'todo' AND (j.scheduled_at IS NULL OR j.scheduled_at <= now())
        ) AS ready,
        count(*) FILTER (WHERE j.status = 'todo' AND j.scheduled_at > now()) AS scheduled,
        count(*) FILTER (WHERE j.status IN ('doing', 'aborting')) AS running,
        count(*) FILTER (WHERE j.status = 'failed') AS failed,
        min(greatest(j.deferred_at, j.scheduled_at)) FILTER (
            WHERE j.status = 'todo' AND (j.scheduled_at IS NULL OR j.scheduled_at <= now())
        ) AS oldest_ready_at
    FROM {schema}.procrastinate_jobs AS j
    GROUP BY j.queue_name
), names AS (
    SELECT held.queue FROM held
    UNION
    SELECT unnest(live.queues) FROM live
)
SELECT
    names.queue,
    coalesce(held.ready, 0) AS ready,
    coalesce(held.scheduled, 0) AS scheduled,
    coalesce(held.running, 0) AS running,
    coalesce(held.failed, 0) AS failed,
    extract(epoch FROM now() - held.oldest_ready_at)::double precision AS oldest_ready_seconds,
    (
        SELECT count(*) FROM live WHERE live.queues IS NULL OR names.queue = ANY(live.queues)
    ) AS workers
FROM names
LEFT JOIN held ON held.queue = names.queue
ORDER BY names.queue
LIMIT %(limit)s::integer
