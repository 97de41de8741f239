-- How many jobs were cancelled and aborted; counting ends at most.
--
-- One row always. Index: jobs_ended. Run it as measure_queues.
SELECT
    (
        SELECT count(*)
        FROM (
            SELECT FROM {schema}.procrastinate_jobs AS j
            WHERE j.status = 'cancelled' LIMIT %(most)s::integer
        ) AS c
    ) AS cancelled,
    (
        SELECT count(*)
        FROM (
            SELECT FROM {schema}.procrastinate_jobs AS j
            WHERE j.status = 'aborted' LIMIT %(most)s::integer
        ) AS a
    ) AS aborted
