-- How many runs of a queue ended lately, and in how many seconds; at most so many runs are looked at.
--
-- One row always. The seconds begin with the first run met, so that a queue which only began to move
-- is not averaged over the time before.
-- Index: attempts_finished_at of every partition, which leaves out the old ones at a glance.
SELECT
    count(*) FILTER (WHERE runs.queue_name = %(queue)s::varchar) AS jobs,
    extract(
        epoch FROM CASE WHEN count(*) > %(most)s::integer THEN max(runs.finished_at) ELSE now() END
        - min(runs.finished_at) FILTER (WHERE runs.queue_name = %(queue)s::varchar)
    )::double precision AS seconds
FROM (
    SELECT a.queue_name, a.finished_at
    FROM {schema}.attempts AS a
    WHERE a.finished_at >= now() - make_interval(secs => %(since_seconds)s::double precision)
      AND a.worker_id IS NOT NULL
    LIMIT %(most)s::integer + 1
) AS runs
