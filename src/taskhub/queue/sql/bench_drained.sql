-- How many runs succeeded, and in what time from the first start to the last end.
--
-- One row always. Index: none; it is asked of a schema that holds one measurement.
SELECT
    count(*) AS jobs,
    coalesce(extract(epoch FROM max(a.finished_at) - min(a.started_at)), 0)::double precision AS seconds
FROM {schema}.attempts AS a
WHERE a.outcome = 'succeeded'
