-- The next failed jobs that match, oldest first, above one id and up to another.
--
-- No row back: the end. Ids above up_to_id came later and are somebody else's.
-- Index: jobs_ended; the primary key of attempts for each error.
SELECT j.id
FROM {schema}.procrastinate_jobs AS j
LEFT JOIN LATERAL (
    SELECT a.error_class, a.error_message, a.fingerprint
    FROM {schema}.attempts AS a
    WHERE a.job_id = j.id
      -- Said again, so that the plan leaves out the other partitions.
      AND a.job_id > %(after_id)s::bigint
      AND a.job_id <= %(up_to_id)s::bigint
      AND a.error_class IS NOT NULL
    ORDER BY a.claim DESC
    LIMIT 1
) AS e ON %(error)s::text IS NOT NULL OR %(fingerprint)s::text IS NOT NULL
WHERE j.id > %(after_id)s::bigint
  AND j.id <= %(up_to_id)s::bigint
  AND j.status = 'failed'
  AND (%(queues)s::text[] IS NULL OR j.queue_name = ANY(%(queues)s::text[]))
  AND (%(tasks)s::text[] IS NULL OR j.task_name LIKE ANY(%(tasks)s::text[]))
  AND (
      coalesce(
          %(since_at)s::timestamptz,
          now() - make_interval(secs => %(since_seconds)s::double precision)
      ) IS NULL
      OR greatest(j.deferred_at, j.started_at, j.finished_at) >= coalesce(
          %(since_at)s::timestamptz,
          now() - make_interval(secs => %(since_seconds)s::double precision)
      )
  )
  AND (%(fingerprint)s::text IS NULL OR e.fingerprint = %(fingerprint)s::text)
  AND (
      %(error)s::text IS NULL
      OR e.error_class ILIKE %(error)s::text
      OR substring(e.error_class FROM '[^.]+$') ILIKE %(error)s::text
      OR e.error_message ILIKE %(error)s::text
      OR e.error_class || ': ' || e.error_message ILIKE %(error)s::text
  )
ORDER BY j.id
LIMIT %(limit)s::integer
