-- By queue: how many jobs came and how many ended within the last so many seconds.
--
-- Of jobs that have not succeeded the newest `most` by id are looked at: who came lately is among them. A
-- job that comes and succeeds within the time counts on both sides; one that waits to be retried on neither.
-- No row back: nothing came, and nothing ended. Run it with enable_seqscan off, see count_runs.
-- Index: procrastinate_jobs_pkey backwards; attempts_finished_at of every partition.
WITH held AS (
    SELECT newest.queue_name AS queue, count(*) AS came
    FROM (
        SELECT j.queue_name, j.deferred_at
        FROM {schema}.procrastinate_jobs AS j
        ORDER BY j.id DESC
        LIMIT %(most)s::integer
    ) AS newest
    WHERE newest.deferred_at >= now() - make_interval(secs => %(seconds)s::double precision)
    GROUP BY newest.queue_name
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
    coalesce(held.came, 0) + coalesce(ended.came, 0) AS came,
    coalesce(ended.went, 0) AS went
FROM held
FULL JOIN ended ON ended.queue = held.queue
ORDER BY 1
LIMIT %(limit)s::integer
