-- Workers, the newest first: those that are live or lost, and on demand those that stopped, or just
-- the ones of some ids.
--
-- draining = takes no more jobs, or was asked to; drained = has none left and was asked to stay.
-- Lost = the lease is over and nobody has given its jobs back yet. A plain procrastinate worker has
-- no line in the registry, so most of its columns are empty. No row back: no worker runs.
-- Index: none for the workers, which are few; jobs_running for their jobs.
SELECT
    coalesce(w.id, r.id) AS id, r.name, r.host, r.pid, r.version, r.queues, r.concurrency,
    CASE
        WHEN w.id IS NULL THEN coalesce(r.stop_reason, 'stopped')
        WHEN w.last_heartbeat < now() - make_interval(secs => coalesce(r.lease_seconds, 60)) THEN 'lost'
        WHEN r.draining_at IS NOT NULL AND r.drain = 'stay' AND held.running = 0 THEN 'drained'
        WHEN coalesce(r.drain, r.draining_at::text) IS NOT NULL THEN 'draining'
        ELSE 'live'
    END AS state,
    held.running,
    CASE WHEN w.id IS NULL THEN 0 ELSE coalesce(r.overdue, 0) END AS overdue,
    CASE WHEN w.id IS NULL THEN 0 ELSE coalesce(r.deserted, 0) END AS deserted,
    r.started_at, w.last_heartbeat AS heartbeat_at, r.stopped_at
FROM {schema}.workers AS r
FULL JOIN {schema}.procrastinate_workers AS w ON w.id = r.id
CROSS JOIN LATERAL (
    SELECT count(*) AS running
    FROM {schema}.procrastinate_jobs AS j
    WHERE j.worker_id = w.id
      AND j.status = 'doing'
) AS held
WHERE CASE
    WHEN %(ids)s::bigint[] IS NOT NULL THEN coalesce(w.id, r.id) = ANY(%(ids)s::bigint[])
    ELSE w.id IS NOT NULL OR %(stopped)s::boolean
END
ORDER BY coalesce(w.id, r.id) DESC
LIMIT %(limit)s::integer
