-- Jobs, newest first, the jobs table and the history read as one list.
--
-- A job that succeeded has left the jobs table and its succeeded attempt stands for it; one
-- snapshot sees it in exactly one of the two. Since = deferred, started or ended since.
-- Only ids from from_id to below before_id are looked at: a filter that fits nothing must not read the
-- whole history. No row back: nothing matches among them.
-- Index: procrastinate_jobs_pkey and the primary keys of attempts, both read backwards.
SELECT
    found.id, found.task, found.queue, found.status, found.attempts, found.priority, found.lock,
    found.deferred_at, found.scheduled_at, found.started_at, found.finished_at, found.worker_id,
    found.error_class, found.error_message, found.fingerprint
FROM (
    (
        SELECT
            j.id, j.task_name AS task, j.queue_name AS queue, j.status::text AS status, j.attempts,
            j.priority, j.lock, j.deferred_at, j.scheduled_at, j.started_at, j.finished_at, j.worker_id,
            e.error_class, e.error_message, e.fingerprint
        FROM {schema}.procrastinate_jobs AS j
        LEFT JOIN LATERAL (
            SELECT a.error_class, a.error_message, a.fingerprint
            FROM {schema}.attempts AS a
            WHERE a.job_id = j.id
              -- Said again, so that the plan leaves out the other partitions.
              AND a.job_id >= %(from_id)s::bigint
              AND a.job_id < %(before_id)s::bigint
              AND a.error_class IS NOT NULL
            ORDER BY a.claim DESC
            LIMIT 1
        ) AS e ON true
        WHERE j.id >= %(from_id)s::bigint
          AND j.id < %(before_id)s::bigint
          AND (%(queues)s::text[] IS NULL OR j.queue_name = ANY(%(queues)s::text[]))
          AND (%(tasks)s::text[] IS NULL OR j.task_name LIKE ANY(%(tasks)s::text[]))
          AND (%(statuses)s::text[] IS NULL OR j.status::text = ANY(%(statuses)s::text[]))
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
        ORDER BY j.id DESC
        LIMIT %(limit)s::integer
    )
    UNION ALL
    (
        SELECT
            a.job_id, a.task_name, a.queue_name, 'succeeded', a.attempt, a.priority, a.lock,
            a.deferred_at, NULL, a.started_at, a.finished_at, a.worker_id, NULL, NULL, NULL
        FROM {schema}.attempts AS a
        WHERE a.outcome = 'succeeded'
          AND %(error)s::text IS NULL
          AND %(fingerprint)s::text IS NULL
          AND (%(statuses)s::text[] IS NULL OR 'succeeded' = ANY(%(statuses)s::text[]))
          AND a.job_id >= %(from_id)s::bigint
          AND a.job_id < %(before_id)s::bigint
          AND (%(queues)s::text[] IS NULL OR a.queue_name = ANY(%(queues)s::text[]))
          AND (%(tasks)s::text[] IS NULL OR a.task_name LIKE ANY(%(tasks)s::text[]))
          AND (
              coalesce(
                  %(since_at)s::timestamptz,
                  now() - make_interval(secs => %(since_seconds)s::double precision)
              ) IS NULL
              OR a.finished_at >= coalesce(
                  %(since_at)s::timestamptz,
                  now() - make_interval(secs => %(since_seconds)s::double precision)
              )
          )
        ORDER BY a.job_id DESC
        LIMIT %(limit)s::integer
    )
) AS found
ORDER BY found.id DESC
LIMIT %(limit)s::integer
