-- Names that somebody may want to type: of queues, tasks and limits, each kind by name.
--
-- A help for the keyboard, not the truth: only the newest 5,000 jobs, the newest 5,000 runs and the newest
-- 100 workers are asked, so that the answer comes at once beside any number of jobs. No row back: the
-- database is empty.
-- Index: procrastinate_jobs_pkey, and the primary keys of attempts, both read backwards.
WITH jobs AS (
    (SELECT j.queue_name, j.task_name FROM {schema}.procrastinate_jobs AS j ORDER BY j.id DESC LIMIT 5000)
    UNION ALL
    (SELECT a.queue_name, a.task_name FROM {schema}.attempts AS a ORDER BY a.job_id DESC, a.claim DESC LIMIT 5000)
), workers AS (
    SELECT w.queues, w.tasks FROM {schema}.workers AS w ORDER BY w.id DESC LIMIT 100
)
SELECT found.kind, found.name
FROM (
    SELECT 'queue' AS kind, jobs.queue_name::text AS name FROM jobs
    UNION
    SELECT 'task', jobs.task_name::text FROM jobs
    UNION
    SELECT 'queue', unnest(workers.queues) FROM workers
    UNION
    SELECT 'task', unnest(workers.tasks) FROM workers
    UNION
    SELECT r.kind, CASE WHEN r.kind = 'key' THEN r.name ELSE split_part(r.name, ':', 2) END
    FROM {schema}.rules AS r
    UNION
    SELECT 'key', l.name FROM {schema}.limit_states AS l
) AS found
ORDER BY found.kind, found.name
LIMIT %(limit)s::integer
