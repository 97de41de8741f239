-- By task: how many runs ended within the last so many seconds, and how many of them will be tried again.
--
-- No row back: nothing ended. Run it with enable_seqscan off, see count_runs.
-- Index: attempts_finished_at of every partition.
SELECT
    a.task_name::text AS task,
    count(*) AS runs,
    count(*) FILTER (WHERE a.outcome IN ('retried', 'lost')) AS retried
FROM {schema}.attempts AS a
WHERE a.finished_at >= now() - make_interval(secs => %(seconds)s::double precision)
GROUP BY a.task_name
ORDER BY retried DESC, a.task_name
LIMIT %(limit)s::integer
