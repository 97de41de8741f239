-- Renew a worker's lease.
--
-- No row back: the worker was declared dead and its jobs were given to others.
-- Index: procrastinate_workers_pkey.
UPDATE {schema}.procrastinate_workers
SET last_heartbeat = now()
WHERE id = %(worker_id)s::bigint
RETURNING id
