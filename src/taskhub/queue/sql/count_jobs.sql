-- How many jobs stand where, those that succeeded left out: they have gone to the history.
--
-- One row always. Index: none, the jobs table is counted whole.
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
