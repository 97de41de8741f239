-- What the runs that ended within one hour come to, by queue and task.
--
-- Durations are those of runs that ended by themselves. The wait is from a job's deferral to its first
-- run, of jobs that succeeded in it: of others the history does not know when they were deferred.
-- No row back: nothing ended in that hour. Run it with enable_seqscan off, see count_runs.
-- Index: attempts_finished_at of every partition.
SELECT
    runs.queue,
    runs.task,
    count(*) FILTER (WHERE runs.outcome = 'succeeded') AS succeeded,
    count(*) FILTER (WHERE runs.outcome = 'failed') AS failed,
    count(*) FILTER (WHERE runs.outcome = 'retried') AS retried,
    count(*) FILTER (WHERE runs.outcome = 'lost') AS lost,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY runs.duration_seconds) AS duration_p50_seconds,
    percentile_cont(0.95) WITHIN GROUP (ORDER BY runs.duration_seconds) AS duration_p95_seconds,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY runs.wait_seconds) AS wait_p50_seconds,
    percentile_cont(0.95) WITHIN GROUP (ORDER BY runs.wait_seconds) AS wait_p95_seconds
FROM (
    SELECT
        a.queue_name AS queue,
        a.task_name AS task,
        a.outcome,
        CASE WHEN a.outcome IN ('succeeded', 'failed', 'retried')
            THEN extract(epoch FROM a.finished_at - a.started_at)::double precision
        END AS duration_seconds,
        CASE WHEN a.outcome = 'succeeded' AND a.attempt = 1
            THEN extract(epoch FROM a.started_at - a.deferred_at)::double precision
        END AS wait_seconds
    FROM {schema}.attempts AS a
    WHERE a.finished_at >= %(hour)s::timestamptz
      AND a.finished_at < %(hour)s::timestamptz + interval '1 hour'
      AND a.outcome IN ('succeeded', 'failed', 'retried', 'lost')
) AS runs
GROUP BY runs.queue, runs.task
ORDER BY runs.queue, runs.task
