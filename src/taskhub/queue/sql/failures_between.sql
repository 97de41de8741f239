-- What failed for good between two times, grouped by fingerprint, the most frequent group first.
--
-- A job counts once in a group, also where it failed, was retried by hand and failed again. A run that
-- was lost counts if its job ended by it. total and groups are those of everything that was read, which
-- is no more than most runs. No row back: nothing failed. Run it with enable_seqscan off, see count_runs.
-- Index: attempts_finished_at of every partition.
SELECT
    runs.fingerprint,
    runs.task_name AS task,
    runs.queue_name AS queue,
    runs.error_class,
    (array_agg(runs.error_message ORDER BY runs.finished_at DESC))[1] AS error_message,
    count(DISTINCT runs.job_id) AS failures,
    max(runs.job_id) AS newest_job_id,
    max(runs.finished_at) AS newest_at,
    (sum(count(DISTINCT runs.job_id)) OVER ())::bigint AS total,
    count(*) OVER () AS groups
FROM (
    SELECT
        a.job_id, a.fingerprint, a.task_name, a.queue_name, a.error_class, a.error_message, a.finished_at
    FROM {schema}.attempts AS a
    WHERE a.finished_at > %(since)s::timestamptz
      AND a.finished_at <= %(until)s::timestamptz
      AND a.task_name <> ALL (%(without_tasks)s::text[])
      AND (
          a.outcome = 'failed'
          OR a.outcome = 'lost' AND EXISTS (
              SELECT FROM {schema}.procrastinate_jobs AS j WHERE j.id = a.job_id AND j.status = 'failed'
          )
      )
    LIMIT %(most)s::integer
) AS runs
GROUP BY runs.fingerprint, runs.task_name, runs.queue_name, runs.error_class
ORDER BY failures DESC, runs.task_name, runs.fingerprint
LIMIT %(limit)s::integer
