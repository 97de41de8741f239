-- Enter a worker twice: among the living, whose heartbeat procrastinate keeps, and in the registry,
-- which the history points at for ever. The id is never used again.
WITH living AS (
    INSERT INTO {schema}.procrastinate_workers DEFAULT VALUES
    RETURNING id
), registered AS (
    INSERT INTO {schema}.workers (
        id, host, pid, name, version, queues, tasks, crons, versions, concurrency, lease_seconds
    )
    SELECT
        living.id, %(host)s::text, %(pid)s::integer, %(name)s::text, %(version)s::text,
        %(queues)s::text[], %(tasks)s::text[], %(crons)s::text[], %(versions)s::text::jsonb,
        %(concurrency)s::integer,
        %(lease_seconds)s::double precision
    FROM living
    RETURNING id
)
SELECT registered.id, h.id AS hub_id
FROM registered
CROSS JOIN {schema}.hub AS h
