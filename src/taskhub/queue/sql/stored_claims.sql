-- Which of these claims have their outcome in the history already, written by this worker: the
-- connection broke after the commit and before the answer.
--
-- No row back: the claims were lost.
-- Index: the primary keys of the partitions of attempts.
SELECT a.job_id
FROM unnest(%(job_ids)s::bigint[], %(claims)s::integer[]) AS asked (job_id, claim)
JOIN {schema}.attempts AS a ON a.job_id = asked.job_id AND a.claim = asked.claim
WHERE a.worker_id = %(worker_id)s::bigint
  AND a.outcome <> 'lost'
