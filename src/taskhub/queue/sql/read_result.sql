-- What a job returned.
--
-- No row back: it has not succeeded.
-- Index: the primary key of one partition of attempts.
SELECT a.result
FROM {schema}.attempts AS a
WHERE a.job_id = %(job_id)s::bigint
  AND a.outcome = 'succeeded'
