-- Say how many jobs of a worker go on past their timeout, as threads and as coroutines.
--
-- Index: workers_pkey.
UPDATE {schema}.workers
SET overdue = %(overdue)s::integer,
    deserted = %(deserted)s::integer
WHERE id = %(worker_id)s::bigint
