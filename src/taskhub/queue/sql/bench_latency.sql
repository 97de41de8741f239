-- From a job's deferral to its start, of the jobs above after_id that succeeded.
--
-- One row always, of NULLs where there are none. Index: the primary keys of attempts.
SELECT
    percentile_cont(0.5) WITHIN GROUP (
        ORDER BY extract(epoch FROM a.started_at - a.deferred_at)::double precision
    ) AS p50_seconds,
    percentile_cont(0.95) WITHIN GROUP (
        ORDER BY extract(epoch FROM a.started_at - a.deferred_at)::double precision
    ) AS p95_seconds
FROM {schema}.attempts AS a
WHERE a.job_id > %(after_id)s::bigint
  AND a.outcome = 'succeeded'
