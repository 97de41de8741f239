-- How many of these attempts still own their jobs: the fence of a call that many jobs share. It locks
-- nothing, as check_claim.
--
-- One row always.
-- Index: procrastinate_jobs_pkey.
SELECT count(*) AS held
FROM unnest(%(job_ids)s::bigint[], %(claims)s::integer[]) AS asked (job_id, claim)
CROSS JOIN LATERAL (
    SELECT 1
    FROM {schema}.procrastinate_jobs AS j
    WHERE j.id = asked.job_id
      AND j.worker_id = %(worker_id)s::bigint
      AND j.claim = asked.claim
      AND j.status::text = 'doing'
    OFFSET 0
) AS held
