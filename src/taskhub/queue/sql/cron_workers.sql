-- The live workers that declare a schedule; a hundred at most.
--
-- No row back: none does, and nobody would enter it again.
-- Index: none, the workers that live are few.
SELECT r.id, r.host, r.pid
FROM {schema}.procrastinate_workers AS w
JOIN {schema}.workers AS r ON r.id = w.id
WHERE w.last_heartbeat >= now() - make_interval(secs => r.lease_seconds)
  AND %(name)s::text = ANY(r.crons)
ORDER BY r.id
LIMIT 100
