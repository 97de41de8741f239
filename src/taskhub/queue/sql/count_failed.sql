-- How many failed jobs match, and the highest id among them: what a bulk retry freezes.
--
-- One row always; highest_id is NULL where nothing matches. Since = failed since.
-- Index: jobs_ended; the primary key of attempts for each error.
SELECT count(*) AS jobs, max(j.id) AS highest_id
FROM {schema}.procrastinate_jobs AS j
LEFT JOIN LATERAL (
    SELECT a.error_class, a.error_message, a.fingerprint
    FROM {schema}.attempts AS a
    WHERE a.job_id = j.id
      AND a.error_class IS NOT NULL
    ORDER BY a.claim DESC
    LIMIT 1
) AS e ON %(error)s::text IS NOT NULL OR %(fingerprint)s::text IS NOT NULL
WHERE j.status = 'failed'
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
