-- The live workers that serve a queue: how many, how many of them know a task, their slots, what runs.
--
-- One row always. A plain procrastinate worker says neither its queues nor its tasks: it may serve
-- and know anything, with one slot. One that drains takes no job. Five are named.
-- Index: none for the workers, which are few; jobs_running for their jobs.
WITH live AS MATERIALIZED (
    SELECT
        w.id, coalesce(r.concurrency, 1) AS slots,
        coalesce(r.drain, r.draining_at::text) IS NOT NULL AS is_draining,
        r.id IS NULL OR %(task)s::text = ANY(r.tasks) AS knows
    FROM {schema}.procrastinate_workers AS w
    LEFT JOIN {schema}.workers AS r ON r.id = w.id
    WHERE w.last_heartbeat >= now() - make_interval(secs => coalesce(r.lease_seconds, 60))
      AND (r.queues IS NULL OR %(queue)s::text = ANY(r.queues))
)
SELECT
    count(*) FILTER (WHERE NOT live.is_draining) AS serving,
    count(*) FILTER (WHERE live.is_draining) AS draining,
    count(*) FILTER (WHERE live.knows AND NOT live.is_draining) AS knowing,
    coalesce(sum(live.slots) FILTER (WHERE live.knows AND NOT live.is_draining), 0) AS slots,
    coalesce(sum(held.jobs) FILTER (WHERE live.knows AND NOT live.is_draining), 0) AS busy,
    (array_agg(live.id ORDER BY live.id) FILTER (WHERE NOT live.is_draining))[:5] AS worker_ids
FROM live
CROSS JOIN LATERAL (
    SELECT count(*) AS jobs
    FROM {schema}.procrastinate_jobs AS j
    WHERE j.worker_id = live.id AND j.status = 'doing'
) AS held
