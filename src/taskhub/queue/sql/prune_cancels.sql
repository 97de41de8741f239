-- Delete requests to stop a run that is over, an hour after they were made; with dry_run count them.
--
-- One row always. There are as many as an operator asked for, so they are taken at once.
-- Index: procrastinate_jobs_pkey.
WITH due AS MATERIALIZED (
    SELECT r.ctid AS place
    FROM {schema}.cancel_requests AS r
    WHERE r.asked_at < now() - interval '1 hour'
      AND NOT EXISTS (
          SELECT 1
          FROM {schema}.procrastinate_jobs AS j
          WHERE j.id = r.job_id
            AND j.claim = r.claim
            AND j.status::text = 'doing'
      )
), gone AS (
    DELETE FROM {schema}.cancel_requests AS r
    USING due
    WHERE r.ctid = due.place
      AND NOT %(dry_run)s::boolean
    RETURNING r.job_id
)
SELECT
    CASE
        WHEN %(dry_run)s::boolean THEN (SELECT count(*) FROM due)
        ELSE (SELECT count(*) FROM gone)
    END AS pruned
