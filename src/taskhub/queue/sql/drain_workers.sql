-- Ask workers to take no more jobs, and to end or to stay then; each hears it with its next heartbeat.
--
-- Who was asked to end goes on to end. No row back for a worker that does not live, or is a plain
-- procrastinate worker, which nobody can ask.
-- Index: workers_pkey, procrastinate_workers_pkey.
UPDATE {schema}.workers AS r
SET drain = CASE WHEN r.drain = 'end' THEN r.drain ELSE %(how)s::text END
FROM {schema}.procrastinate_workers AS w
WHERE r.id = ANY(%(worker_ids)s::bigint[])
  AND w.id = r.id
  AND w.last_heartbeat >= now() - make_interval(secs => r.lease_seconds)
RETURNING r.id
