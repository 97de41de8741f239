-- Jobs that stand as failed, by what went wrong, the largest group first.
--
-- Of the newest failed jobs by id, no more than most are looked at, and of those the ones that failed
-- since a time count. A job counts with the last error that it met, as in list_jobs, so that a filter
-- finds the jobs of a group. Those of which no run that is kept told an error are one group a task. jobs and groups are of all groups, looked_at of all jobs, those from
-- before that time too. No row back: nothing that was looked at failed since then. Run it by_index.
-- Index: jobs_ended, then the primary key of one partition of attempts.
SELECT
    met.fingerprint,
    met.error_class,
    (array_agg(met.error_message ORDER BY met.finished_at DESC))[1] AS error_message,
    count(*) AS failures,
    min(met.finished_at) AS first_at,
    max(met.finished_at) AS newest_at,
    (array_agg(met.id ORDER BY met.finished_at DESC))[1] AS newest_job_id,
    array_agg(DISTINCT met.task_name) AS tasks,
    array_agg(DISTINCT met.queue_name) AS queues,
    (sum(count(*)) OVER ())::bigint AS jobs,
    count(*) OVER () AS groups,
    max(met.looked_at) AS looked_at
FROM (
    SELECT
        f.id, f.task_name, f.queue_name, f.finished_at, f.looked_at,
        e.fingerprint, e.error_class, e.error_message,
        CASE WHEN e.fingerprint IS NULL THEN f.task_name END AS lost_task
    FROM (
        SELECT j.id, j.task_name, j.queue_name, j.finished_at, count(*) OVER () AS looked_at
        FROM (
            SELECT n.id, n.task_name, n.queue_name, n.finished_at
            FROM {schema}.procrastinate_jobs AS n
            WHERE n.status = 'failed'
            ORDER BY n.id DESC
            LIMIT %(most)s::integer
        ) AS j
    ) AS f
    LEFT JOIN LATERAL (
        SELECT a.fingerprint, a.error_class, a.error_message
        FROM {schema}.attempts AS a
        WHERE a.job_id = f.id
          AND a.error_class IS NOT NULL
        ORDER BY a.claim DESC
        LIMIT 1
    ) AS e ON true
    WHERE f.finished_at >= now() - make_interval(secs => %(since_seconds)s::double precision)
) AS met
GROUP BY met.fingerprint, met.error_class, met.lost_task
ORDER BY failures DESC, newest_job_id DESC
LIMIT %(limit)s::integer
