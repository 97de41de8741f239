-- Every run of a job that is over, the first one first.
--
-- No row back: it has not been run to an end.
-- Index: the primary key of one partition of attempts.
SELECT
    a.job_id,
    a.claim,
    a.attempt,
    a.outcome::text AS outcome,
    a.worker_id,
    w.host,
    w.pid,
    a.started_at,
    a.finished_at,
    extract(epoch FROM a.finished_at - a.started_at)::double precision AS duration_seconds,
    a.error_class,
    a.error_message,
    a.traceback,
    a.fingerprint,
    a.log
FROM {schema}.attempts AS a
LEFT JOIN {schema}.workers AS w ON w.id = a.worker_id
WHERE a.job_id = %(job_id)s::bigint
ORDER BY a.claim
