-- Renew a worker's lease, and hear whether somebody asks it to drain: 'end' or 'stay', NULL for no.
--
-- No row back: the worker was declared dead and its jobs were given to others.
-- Index: procrastinate_workers_pkey, workers_pkey.
UPDATE {schema}.procrastinate_workers AS w
SET last_heartbeat = now()
WHERE w.id = %(worker_id)s::bigint
RETURNING w.id, (SELECT r.drain FROM {schema}.workers AS r WHERE r.id = w.id) AS drain
