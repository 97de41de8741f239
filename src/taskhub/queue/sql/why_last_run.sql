-- The last run of a job that is over, and the last error that any of its runs met.
--
-- No row back: none is over.
-- Index: the primary key of one partition of attempts, read backwards.
SELECT
    a.outcome::text AS outcome, a.attempt, a.finished_at, e.error_class, e.error_message, e.fingerprint
FROM {schema}.attempts AS a
LEFT JOIN LATERAL (
    SELECT f.error_class, f.error_message, f.fingerprint
    FROM {schema}.attempts AS f
    WHERE f.job_id = %(job_id)s::bigint
      AND f.error_class IS NOT NULL
    ORDER BY f.claim DESC
    LIMIT 1
) AS e ON true
WHERE a.job_id = %(job_id)s::bigint
ORDER BY a.claim DESC
LIMIT 1
