-- By queue: how many jobs came and how many ended within the last so many seconds, and how many are ready.
--
-- A job that comes and succeeds within it counts on both sides; one that waits to be retried on neither.
-- No row back: no queue holds a job, and nothing ended. Run it with enable_seqscan off, see count_runs.
-- Index: none for the jobs table, which is counted whole; attempts_finished_at of every partition.
WITH held AS (
    SELECT
        j.queue_name AS queue,
        count(*) FILTER (WHERE j.deferred_at >= now() - make_interval(secs => %(seconds)s::double precision))
            AS came,
        count(*) FILTER (
            WHERE j.status = 'todo' AND (j.scheduled_at IS NULL OR j.scheduled_at <= now())
        ) AS ready
    FROM {schema}.procrastinate_jobs AS j
    GROUP BY j.queue_name
), ended AS (
    SELECT
        a.queue_name AS queue,
        count(*) FILTER (WHERE a.outcome = 'succeeded' AND a.deferred_at >=
            now() - make_interval(secs => %(seconds)s::double precision)) AS came,
        count(*) FILTER (WHERE a.outcome IN ('succeeded', 'failed', 'cancelled', 'aborted')) AS went
    FROM {schema}.attempts AS a
    WHERE a.finished_at >= now() - make_interval(secs => %(seconds)s::double precision)
    GROUP BY a.queue_name
)
SELECT
    coalesce(held.queue, ended.queue)::text AS queue,
    coalesce(held.ready, 0) AS ready,
    coalesce(held.came, 0) + coalesce(ended.came, 0) AS came,
    coalesce(ended.went, 0) AS went
FROM held
FULL JOIN ended ON ended.queue = held.queue
ORDER BY 1
LIMIT %(limit)s::integer
