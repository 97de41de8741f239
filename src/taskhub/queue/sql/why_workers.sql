-- The live workers that serve a queue: how many, how many of them know a task in a version, their slots,
-- what runs.
--
-- One row always; newest_version is NULL where none has the task. A plain procrastinate worker says neither
-- its queues nor its tasks: it may serve and know anything, with one slot, but takes up only version 1 of what
-- was set aside. One that drains takes no job; it is drained when it stays and has none left. Five are named.
-- Index: none for the workers, which are few; jobs_running for their jobs.
WITH live AS MATERIALIZED (
    SELECT
        w.id, coalesce(r.concurrency, 1) AS slots,
        coalesce(r.drain, r.draining_at::text) IS NOT NULL AS is_draining,
        coalesce(r.draining_at IS NOT NULL AND r.drain = 'stay', false) AS is_to_stay,
        CASE
            WHEN r.id IS NULL THEN NOT %(is_set_aside)s::boolean OR %(version)s::integer = 1
            ELSE %(task)s::text = ANY(r.tasks)
             AND %(version)s::integer <= coalesce((r.versions ->> %(task)s::text)::integer, 1)
        END AS knows,
        CASE
            WHEN %(task)s::text = ANY(r.tasks) THEN coalesce((r.versions ->> %(task)s::text)::integer, 1)
        END AS version
    FROM {schema}.procrastinate_workers AS w
    LEFT JOIN {schema}.workers AS r ON r.id = w.id
    WHERE w.last_heartbeat >= now() - make_interval(secs => coalesce(r.lease_seconds, 60))
      AND (r.queues IS NULL OR %(queue)s::text = ANY(r.queues))
)
SELECT
    count(*) FILTER (WHERE NOT live.is_draining) AS serving,
    count(*) FILTER (WHERE live.is_draining) AS draining,
    count(*) FILTER (WHERE live.is_to_stay AND held.jobs = 0) AS drained,
    count(*) FILTER (WHERE live.knows AND live.is_draining) AS draining_knowing,
    count(*) FILTER (WHERE live.knows AND NOT live.is_draining) AS knowing,
    max(live.version) FILTER (WHERE NOT live.is_draining) AS newest_version,
    coalesce(sum(live.slots) FILTER (WHERE live.knows AND NOT live.is_draining), 0) AS slots,
    coalesce(sum(held.jobs) FILTER (WHERE live.knows AND NOT live.is_draining), 0) AS busy,
    (array_agg(live.id ORDER BY live.id) FILTER (WHERE NOT live.is_draining))[:5] AS worker_ids,
    (array_agg(live.id ORDER BY live.id) FILTER (WHERE live.is_draining))[:5] AS draining_ids
FROM live
CROSS JOIN LATERAL (
    SELECT count(*) AS jobs
    FROM {schema}.procrastinate_jobs AS j
    WHERE j.worker_id = live.id AND j.status = 'doing'
) AS held
