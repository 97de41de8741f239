-- How many jobs stand where, in one row; those that succeeded and the runs that failed count for
-- the last `since_seconds`.
--
-- Index: none for the jobs table, which is counted whole; attempts_finished_at for the history.
SELECT
    jobs.ready, jobs.scheduled, jobs.running, jobs.failed, jobs.cancelled, jobs.aborted,
    runs.succeeded AS succeeded_lately, runs.failed AS failed_runs_lately
FROM (
    SELECT
        count(*) FILTER (
            WHERE j.status = 'todo' AND (j.scheduled_at IS NULL OR j.scheduled_at <= now())
        ) AS ready,
        count(*) FILTER (WHERE j.status = 'todo' AND j.scheduled_at > now()) AS scheduled,
        count(*) FILTER (WHERE j.status IN ('doing', 'aborting')) AS running,
        count(*) FILTER (WHERE j.status = 'failed') AS failed,
        count(*) FILTER (WHERE j.status = 'cancelled') AS cancelled,
        count(*) FILTER (WHERE j.status = 'aborted') AS aborted
    FROM {schema}.procrastinate_jobs AS j
) AS jobs
CROSS JOIN (
    SELECT
        count(*) FILTER (WHERE a.outcome = 'succeeded') AS succeeded,
        count(*) FILTER (WHERE a.outcome IN ('failed', 'retried', 'lost')) AS failed
    FROM {schema}.attempts AS a
    WHERE a.finished_at >= now() - make_interval(secs => %(since_seconds)s::double precision)
) AS runs
