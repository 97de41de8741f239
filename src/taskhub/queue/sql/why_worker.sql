-- The worker that holds a running job, as far as it is known, and whether anybody lives who would
-- give its jobs back.
--
-- One row always. A plain procrastinate worker is not in the registry, one that has left holds no lease.
-- Index: the primary keys of both workers' tables, cancel_requests_job_id.
SELECT
    r.host, r.pid, w.id IS NOT NULL AS is_registered,
    w.last_heartbeat AS heartbeat_at,
    w.last_heartbeat + make_interval(secs => coalesce(r.lease_seconds, 60)) AS lease_until,
    coalesce(w.last_heartbeat >= now() - make_interval(secs => coalesce(r.lease_seconds, 60)), false)
        AS is_live,
    EXISTS (
        SELECT 1
        FROM {schema}.procrastinate_workers AS o
        JOIN {schema}.workers AS s ON s.id = o.id
        WHERE o.last_heartbeat >= now() - make_interval(secs => s.lease_seconds)
    ) AS has_rescuer,
    coalesce(r.overdue, 0) AS overdue,
    c.asked_at, c.reason
FROM (SELECT %(worker_id)s::bigint AS id) AS asked
LEFT JOIN {schema}.procrastinate_workers AS w ON w.id = asked.id
LEFT JOIN {schema}.workers AS r ON r.id = asked.id
LEFT JOIN LATERAL (
    SELECT q.asked_at, q.reason
    FROM {schema}.cancel_requests AS q
    WHERE q.job_id = %(job_id)s::bigint
      AND q.claim = %(claim)s::integer
    ORDER BY q.asked_at
    LIMIT 1
) AS c ON true
