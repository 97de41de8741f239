-- Note that a worker takes no more jobs from now on.
-- Index: workers_pkey.
UPDATE {schema}.workers AS r
SET draining_at = now()
WHERE r.id = %(worker_id)s::bigint
  AND r.draining_at IS NULL
