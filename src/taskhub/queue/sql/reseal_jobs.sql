-- Put newly encrypted arguments into jobs that the same transaction holds.
--
-- Index: procrastinate_jobs_pkey.
UPDATE {schema}.procrastinate_jobs AS j
SET args = given.args
FROM unnest(%(job_ids)s::bigint[], %(args)s::jsonb[]) AS given (id, args)
WHERE j.id = given.id
RETURNING j.id
