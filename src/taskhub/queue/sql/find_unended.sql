-- The next jobs that wait or run and match, oldest first, above one id and up to another.
--
-- No row back: the end. Ids above up_to_id came later and are somebody else's.
-- Index: procrastinate_jobs_pkey; the primary key of attempts for each error.
SELECT c.id
FROM (
    SELECT
        j.id, j.task_name, j.queue_name, j.status::text AS status, j.lock, j.worker_id, j.args,
        greatest(j.deferred_at, j.started_at, j.finished_at) AS latest_at
    FROM {schema}.procrastinate_jobs AS j
    WHERE j.status::text IN ('todo', 'doing', 'aborting')
) AS c
LEFT JOIN LATERAL (
    SELECT a.error_class, a.error_message, a.fingerprint
    FROM {schema}.attempts AS a
    WHERE a.job_id = c.id
      -- Said again, so that the plan leaves out the other partitions.
      AND a.job_id > %(after_id)s::bigint
      AND a.job_id <= %(up_to_id)s::bigint
      AND a.error_class IS NOT NULL
    ORDER BY a.claim DESC
    LIMIT 1
) AS e ON %(error)s::text IS NOT NULL
    OR %(not_error)s::text IS NOT NULL
    OR %(fingerprint)s::text IS NOT NULL
    OR %(not_fingerprint)s::text IS NOT NULL
WHERE c.id > %(after_id)s::bigint
  AND c.id <= %(up_to_id)s::bigint
  AND {job_matches}
ORDER BY c.id
LIMIT %(limit)s::integer
