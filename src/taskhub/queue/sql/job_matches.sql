-- Whether a job c with its last error e fits a JobFilter; a part of other statements.
--
-- latest_at is the latest of its times.
(%(queues)s::text[] IS NULL OR c.queue_name = ANY(%(queues)s::text[]))
  AND (%(not_queues)s::text[] IS NULL OR c.queue_name <> ALL(%(not_queues)s::text[]))
  AND (%(tasks)s::text[] IS NULL OR c.task_name LIKE ANY(%(tasks)s::text[]))
  AND (%(not_tasks)s::text[] IS NULL OR NOT c.task_name LIKE ANY(%(not_tasks)s::text[]))
  AND (%(statuses)s::text[] IS NULL OR c.status = ANY(%(statuses)s::text[]))
  AND (%(not_statuses)s::text[] IS NULL OR c.status <> ALL(%(not_statuses)s::text[]))
  AND (%(ids)s::bigint[] IS NULL OR c.id = ANY(%(ids)s::bigint[]))
  AND (%(not_ids)s::bigint[] IS NULL OR c.id <> ALL(%(not_ids)s::bigint[]))
  AND (%(locks)s::text[] IS NULL OR c.lock = ANY(%(locks)s::text[]))
  AND (%(not_locks)s::text[] IS NULL OR c.lock IS NULL OR c.lock <> ALL(%(not_locks)s::text[]))
  AND (%(workers)s::bigint[] IS NULL OR c.worker_id = ANY(%(workers)s::bigint[]))
  AND (
      %(not_workers)s::bigint[] IS NULL
      OR c.worker_id IS NULL
      OR c.worker_id <> ALL(%(not_workers)s::bigint[])
  )
  AND (
      coalesce(
          %(since_at)s::timestamptz,
          now() - make_interval(secs => %(since_seconds)s::double precision)
      ) IS NULL
      OR c.latest_at >= coalesce(
          %(since_at)s::timestamptz,
          now() - make_interval(secs => %(since_seconds)s::double precision)
      )
  )
  AND (
      coalesce(
          %(until_at)s::timestamptz,
          now() - make_interval(secs => %(until_seconds)s::double precision)
      ) IS NULL
      OR c.latest_at < coalesce(
          %(until_at)s::timestamptz,
          now() - make_interval(secs => %(until_seconds)s::double precision)
      )
  )
  AND (%(args)s::jsonb[] IS NULL OR c.args @> ANY(%(args)s::jsonb[]))
  AND (%(not_args)s::jsonb[] IS NULL OR NOT coalesce(c.args @> ANY(%(not_args)s::jsonb[]), false))
  AND (%(fingerprint)s::text IS NULL OR e.fingerprint = %(fingerprint)s::text)
  AND (
      %(not_fingerprint)s::text IS NULL
      OR e.fingerprint IS DISTINCT FROM %(not_fingerprint)s::text
  )
  AND (
      %(error)s::text IS NULL
      OR e.error_class ILIKE %(error)s::text
      OR substring(e.error_class FROM '[^.]+$') ILIKE %(error)s::text
      OR e.error_message ILIKE %(error)s::text
      OR e.error_class || ': ' || e.error_message ILIKE %(error)s::text
  )
  AND (
      %(not_error)s::text IS NULL
      OR NOT coalesce(
          e.error_class ILIKE %(not_error)s::text
          OR substring(e.error_class FROM '[^.]+$') ILIKE %(not_error)s::text
          OR e.error_message ILIKE %(not_error)s::text
          OR e.error_class || ': ' || e.error_message ILIKE %(not_error)s::text,
          false
      )
  )
