-- Workers, the newest first: those that are live or lost, and on demand those that stopped.
--
-- Lost = the lease is over and nobody has given its jobs back yet. A plain procrastinate worker has
-- no line in the registry, so most of its columns are empty. No row back: no worker runs.
-- Index: none for the workers, which are few; jobs_running for their jobs.
SELECT
    coalesce(w.id, r.id) AS id, r.name, r.host, r.pid, r.version, r.queues, r.concurrency,
    CASE
        WHEN w.id IS NULL THEN coalesce(r.stop_reason, 'stopped')
        WHEN w.last_heartbeat >= now() - make_interval(secs => coalesce(r.lease_seconds, 60)) THEN 'live'
        ELSE 'lost'
    END AS state,
    (
        SELECT count(*)
        FROM {schema}.procrastinate_jobs AS j
        WHERE j.worker_id = w.id
          AND j.status = 'doing'
    ) AS running,
    CASE WHEN w.id IS NULL THEN 0 ELSE coalesce(r.overdue, 0) END AS overdue,
    CASE WHEN w.id IS NULL THEN 0 ELSE coalesce(r.deserted, 0) END AS deserted,
    r.started_at, w.last_heartbeat AS heartbeat_at, r.stopped_at
FROM {schema}.workers AS r
FULL JOIN {schema}.procrastinate_workers AS w ON w.id = r.id
WHERE w.id IS NOT NULL
   OR %(stopped)s::boolean
ORDER BY coalesce(w.id, r.id) DESC
LIMIT %(limit)s::integer
