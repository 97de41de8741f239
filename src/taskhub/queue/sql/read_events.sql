-- What happened in the queue from from_at to before to_at, the newest most of each kind, oldest first.
--
-- Three kinds: a job was deferred, a run began and goes on, a run ended. Deferred are the jobs above after_id,
-- none where it is NULL; a job that succeeded has left its table, and its run stands for it. No row back:
-- nothing happened that fits. Run it with enable_seqscan off, see count_runs.
-- Index: procrastinate_jobs_pkey and the primary keys of attempts for what was deferred, jobs_running, and
-- attempts_finished_at of every partition.
SELECT
    found.event, found.at, found.job_id, found.claim, found.attempt, found.task, found.queue,
    found.worker_id, found.seconds, found.error_class, found.error_message, found.log
FROM (
    (
        SELECT
            'deferred' AS event, j.deferred_at AS at, j.id AS job_id, 0 AS claim, 0 AS attempt,
            j.task_name::text AS task, j.queue_name::text AS queue, NULL::bigint AS worker_id,
            NULL::double precision AS seconds, NULL::text AS error_class, NULL::text AS error_message,
            NULL::text AS log
        FROM {schema}.procrastinate_jobs AS j
        WHERE j.id > %(after_id)s::bigint
          AND (%(job_ids)s::bigint[] IS NULL OR j.id = ANY(%(job_ids)s::bigint[]))
          AND (%(queues)s::text[] IS NULL OR j.queue_name = ANY(%(queues)s::text[]))
          AND (%(tasks)s::text[] IS NULL OR j.task_name LIKE ANY(%(tasks)s::text[]))
          AND (%(events)s::text[] IS NULL OR 'deferred' = ANY(%(events)s::text[]))
        ORDER BY j.id DESC
        LIMIT %(most)s::integer
    )
    UNION ALL
    (
        SELECT
            'deferred', a.deferred_at, a.job_id, 0, 0, a.task_name::text, a.queue_name::text, NULL, NULL,
            NULL, NULL, NULL
        FROM {schema}.attempts AS a
        WHERE a.job_id > %(after_id)s::bigint
          AND a.outcome = 'succeeded'
          AND (%(job_ids)s::bigint[] IS NULL OR a.job_id = ANY(%(job_ids)s::bigint[]))
          AND (%(queues)s::text[] IS NULL OR a.queue_name = ANY(%(queues)s::text[]))
          AND (%(tasks)s::text[] IS NULL OR a.task_name LIKE ANY(%(tasks)s::text[]))
          AND (%(events)s::text[] IS NULL OR 'deferred' = ANY(%(events)s::text[]))
        ORDER BY a.job_id DESC
        LIMIT %(most)s::integer
    )
    UNION ALL
    (
        SELECT
            'started', j.started_at, j.id, j.claim, j.attempts + 1, j.task_name::text, j.queue_name::text,
            j.worker_id, NULL, NULL, NULL, NULL
        FROM {schema}.procrastinate_jobs AS j
        WHERE j.status = 'doing'
          AND j.started_at >= %(from_at)s::timestamptz
          AND j.started_at < %(to_at)s::timestamptz
          AND (%(job_ids)s::bigint[] IS NULL OR j.id = ANY(%(job_ids)s::bigint[]))
          AND (%(queues)s::text[] IS NULL OR j.queue_name = ANY(%(queues)s::text[]))
          AND (%(tasks)s::text[] IS NULL OR j.task_name LIKE ANY(%(tasks)s::text[]))
          AND (%(events)s::text[] IS NULL OR 'started' = ANY(%(events)s::text[]))
        ORDER BY j.started_at DESC
        LIMIT %(most)s::integer
    )
    UNION ALL
    (
        SELECT
            a.outcome::text, a.finished_at, a.job_id, a.claim, a.attempt, a.task_name::text,
            a.queue_name::text, a.worker_id,
            extract(epoch FROM a.finished_at - a.started_at)::double precision,
            a.error_class, a.error_message, a.log
        FROM {schema}.attempts AS a
        WHERE a.finished_at >= %(from_at)s::timestamptz
          AND a.finished_at < %(to_at)s::timestamptz
          AND (%(job_ids)s::bigint[] IS NULL OR a.job_id = ANY(%(job_ids)s::bigint[]))
          AND (%(queues)s::text[] IS NULL OR a.queue_name = ANY(%(queues)s::text[]))
          AND (%(tasks)s::text[] IS NULL OR a.task_name LIKE ANY(%(tasks)s::text[]))
          AND (%(events)s::text[] IS NULL OR a.outcome::text = ANY(%(events)s::text[]))
        ORDER BY a.finished_at DESC
        LIMIT %(most)s::integer
    )
) AS found
ORDER BY found.at, found.job_id, found.claim
