-- How many jobs stand where, by queue; of each kind at most `most` are counted, of a priority of ready ones at
-- most most_of_lane, so that it costs the same beside a million.
--
-- kind: ready, held (ready but for a lock, a limit, a turn), scheduled,
-- running, failed. A row that says is_capped has more, in it or in another queue of its kind and gate.
-- oldest_at is of the first hundred of each priority. No row back: no job but ended ones waits or runs.
-- Run it with enable_seqscan, enable_bitmapscan and enable_sort off.
-- Index: jobs_ready, from each queue and priority to the next; jobs_behind, jobs_limited, jobs_unknown,
-- jobs_parked, jobs_fair, jobs_due, jobs_running, jobs_ended.
WITH RECURSIVE lanes (queue_name, priority, n) AS (
{ready_lanes}
), others AS (
    (
        SELECT j.queue_name, j.gate::integer AS gate, 'held' AS kind,
            greatest(j.deferred_at, j.scheduled_at) AS at
        FROM {schema}.procrastinate_jobs AS j
        WHERE j.status = 'todo' AND j.gate = 2
        LIMIT %(most)s::integer
    )
    UNION ALL
    (
        SELECT j.queue_name, 3, 'held', greatest(j.deferred_at, j.scheduled_at)
        FROM {schema}.procrastinate_jobs AS j
        WHERE j.status = 'todo' AND j.gate = 3
        LIMIT %(most)s::integer
    )
    UNION ALL
    (
        SELECT j.queue_name, 4, 'held', greatest(j.deferred_at, j.scheduled_at)
        FROM {schema}.procrastinate_jobs AS j
        WHERE j.status = 'todo' AND j.gate = 4
        LIMIT %(most)s::integer
    )
    UNION ALL
    (
        SELECT j.queue_name, 5, 'held', greatest(j.deferred_at, j.scheduled_at)
        FROM {schema}.procrastinate_jobs AS j
        WHERE j.status = 'todo' AND j.gate = 5
        LIMIT %(most)s::integer
    )
    UNION ALL
    (
        SELECT j.queue_name, 6, 'held', greatest(j.deferred_at, j.scheduled_at)
        FROM {schema}.procrastinate_jobs AS j
        WHERE j.status = 'todo' AND j.gate = 6
        LIMIT %(most)s::integer
    )
    UNION ALL
    (
        SELECT j.queue_name, 1, 'held', greatest(j.deferred_at, j.scheduled_at)
        FROM {schema}.procrastinate_jobs AS j
        WHERE j.status = 'todo' AND j.gate = 1 AND coalesce(j.scheduled_at, '-infinity') <= now()
        LIMIT %(most)s::integer
    )
    UNION ALL
    (
        SELECT j.queue_name, 1, 'scheduled', NULL
        FROM {schema}.procrastinate_jobs AS j
        WHERE j.status = 'todo' AND j.gate = 1 AND coalesce(j.scheduled_at, '-infinity') > now()
        LIMIT %(most)s::integer
    )
    UNION ALL
    (
        SELECT j.queue_name, NULL, 'running', NULL
        FROM {schema}.procrastinate_jobs AS j
        WHERE j.status = 'doing'
        LIMIT %(most)s::integer
    )
    UNION ALL
    (
        SELECT j.queue_name, NULL, 'failed', NULL
        FROM {schema}.procrastinate_jobs AS j
        WHERE j.status = 'failed'
        ORDER BY j.id DESC
        LIMIT %(most)s::integer
    )
)
SELECT
    lanes.queue_name::text AS queue, 'ready' AS kind, 0 AS gate, sum(counted.jobs)::bigint AS jobs,
    extract(epoch FROM now() - min(oldest.at))::double precision AS oldest_seconds,
    bool_or(counted.jobs >= %(most_of_lane)s::integer) AS is_capped
FROM lanes
CROSS JOIN LATERAL (
    SELECT count(*) AS jobs
    FROM (
        SELECT FROM {schema}.procrastinate_jobs AS j
        WHERE j.status = 'todo' AND j.gate = 0
          AND j.queue_name = lanes.queue_name AND j.priority = lanes.priority
        LIMIT %(most_of_lane)s::integer
    ) AS found
) AS counted
CROSS JOIN LATERAL (
    SELECT min(first.at) AS at
    FROM (
        SELECT greatest(j.deferred_at, j.scheduled_at) AS at
        FROM {schema}.procrastinate_jobs AS j
        WHERE j.status = 'todo' AND j.gate = 0
          AND j.queue_name = lanes.queue_name AND j.priority = lanes.priority
        ORDER BY coalesce(j.place, j.id)
        LIMIT 100
    ) AS first
) AS oldest
GROUP BY lanes.queue_name
UNION ALL
SELECT
    o.queue_name::text, o.kind, o.gate, count(*),
    extract(epoch FROM now() - min(o.at))::double precision,
    sum(count(*)) OVER (PARTITION BY o.kind, o.gate) >= %(most)s::integer
FROM others AS o
GROUP BY o.queue_name, o.kind, o.gate
