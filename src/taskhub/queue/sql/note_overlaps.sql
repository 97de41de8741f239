-- Keep that runs went on here after their claims were lost, and for how long beside the next run.
--
-- It counts from the start of the next claim, or from the end of the pause if that came later, to now,
-- when the outcome is refused. Nothing is added
-- where nobody has the job yet. Indexes: procrastinate_jobs_pkey, the primary keys of attempts.
INSERT INTO {schema}.overlaps (job_id, claim, worker_id, overlap_seconds)
SELECT
    asked.job_id,
    asked.claim,
    %(worker_id)s::bigint,
    least(
        extract(epoch FROM clock_timestamp() - next.started_at),
        %(awake_seconds)s::double precision
    )
FROM unnest(%(job_ids)s::bigint[], %(claims)s::integer[]) AS asked (job_id, claim)
CROSS JOIN LATERAL (
    SELECT j.started_at
    FROM {schema}.procrastinate_jobs AS j
    WHERE j.id = asked.job_id AND j.claim = asked.claim + 1 AND j.started_at IS NOT NULL
    UNION ALL
    SELECT a.started_at
    FROM {schema}.attempts AS a
    WHERE a.job_id = asked.job_id AND a.claim = asked.claim + 1 AND a.started_at IS NOT NULL
    LIMIT 1
) AS next
RETURNING job_id, overlap_seconds
