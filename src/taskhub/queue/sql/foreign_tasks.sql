-- Waiting jobs in some queues (NULL: in all) of tasks that are none of these, by queue and task.
--
-- No row back: a worker with these tasks can run whatever waits there.
-- Index: none, it counts what waits in the jobs table.
SELECT j.queue_name AS queue, j.task_name AS task, count(*) AS jobs
FROM {schema}.procrastinate_jobs AS j
WHERE j.status = 'todo'
  AND (%(queues)s::text[] IS NULL OR j.queue_name = ANY(%(queues)s::text[]))
  AND NOT (j.task_name = ANY(%(tasks)s::text[]))
GROUP BY j.queue_name, j.task_name
ORDER BY count(*) DESC, j.task_name
LIMIT %(limit)s::integer
