-- Jobs, newest first, the jobs table and the history read as one list.
--
-- A job that succeeded has left the jobs table and its succeeded attempt stands for it; one
-- snapshot sees it in exactly one of the two.
-- Only ids from from_id to below before_id are looked at, and of those only the candidates where they
-- are given: a filter that fits nothing must not read the whole history. No row back: nothing matches
-- among them.
-- Index: procrastinate_jobs_pkey and the primary keys of attempts, both read backwards.
SELECT
    found.id, found.task, found.queue, found.status, found.attempts, found.priority, found.lock,
    found.deferred_at, found.scheduled_at, found.started_at, found.finished_at, found.worker_id,
    found.error_class, found.error_message, found.fingerprint
FROM (
    (
        SELECT
            c.id, c.task_name AS task, c.queue_name AS queue, c.status, c.attempts,
            c.priority, c.lock, c.deferred_at, c.scheduled_at, c.started_at, c.finished_at, c.worker_id,
            e.error_class, e.error_message, e.fingerprint
        FROM (
            SELECT
                j.id, j.task_name, j.queue_name, j.status::text AS status, j.attempts, j.priority, j.lock,
                j.deferred_at, j.scheduled_at, j.started_at, j.finished_at, j.worker_id, j.args,
                greatest(j.deferred_at, j.started_at, j.finished_at) AS latest_at
            FROM {schema}.procrastinate_jobs AS j
        ) AS c
        LEFT JOIN LATERAL (
            SELECT a.error_class, a.error_message, a.fingerprint
            FROM {schema}.attempts AS a
            WHERE a.job_id = c.id
              -- Said again, so that the plan leaves out the other partitions.
              AND a.job_id >= %(from_id)s::bigint
              AND a.job_id < %(before_id)s::bigint
              AND a.error_class IS NOT NULL
            ORDER BY a.claim DESC
            LIMIT 1
        ) AS e ON true
        WHERE c.id >= %(from_id)s::bigint
          AND c.id < %(before_id)s::bigint
          AND (%(candidates)s::bigint[] IS NULL OR c.id = ANY(%(candidates)s::bigint[]))
          AND {job_matches}
        ORDER BY c.id DESC
        LIMIT %(limit)s::integer
    )
    UNION ALL
    (
        SELECT
            c.id, c.task_name, c.queue_name, c.status, c.attempt, c.priority, c.lock,
            c.deferred_at, NULL, c.started_at, c.latest_at, c.worker_id, NULL, NULL, NULL
        FROM (
            SELECT
                a.job_id AS id, a.task_name, a.queue_name, 'succeeded' AS status, a.attempt, a.priority,
                a.lock, a.deferred_at, a.started_at, a.finished_at AS latest_at, a.worker_id, a.args
            FROM {schema}.attempts AS a
            WHERE a.outcome = 'succeeded'
        ) AS c
        CROSS JOIN (
            SELECT NULL::text AS error_class, NULL::text AS error_message, NULL::text AS fingerprint
        ) AS e
        WHERE c.id >= %(from_id)s::bigint
          AND c.id < %(before_id)s::bigint
          AND (%(candidates)s::bigint[] IS NULL OR c.id = ANY(%(candidates)s::bigint[]))
          AND {job_matches}
        ORDER BY c.id DESC
        LIMIT %(limit)s::integer
    )
) AS found
ORDER BY found.id DESC
LIMIT %(limit)s::integer
