-- Add up the minutes from one time to another by queue and task: jobs deferred, runs ended, how long they took.
--
-- Run it with enable_seqscan off, see count_runs. Nobody else adds up the same minutes meanwhile: the mark is
-- locked. No row back: nothing happened in them.
-- Bucket n holds runs of 1.2^n to 1.2^(n+1) milliseconds, bucket 0 shorter ones too.
-- Index: attempts_finished_at; the primary keys of procrastinate_jobs and attempts from after_id on.
WITH runs AS MATERIALIZED (
    SELECT
        date_trunc('minute', a.finished_at) AS minute, a.queue_name AS queue, a.task_name AS task,
        a.outcome, a.job_id,
        CASE WHEN a.outcome IN ('succeeded', 'failed', 'retried')
            THEN extract(epoch FROM a.finished_at - a.started_at)::double precision
        END AS seconds
    FROM {schema}.attempts AS a
    WHERE a.finished_at >= %(from_at)s::timestamptz
      AND a.finished_at < %(until_at)s::timestamptz
), ended AS (
    SELECT
        r.minute, r.queue, r.task,
        count(*) FILTER (WHERE r.outcome = 'succeeded') AS succeeded,
        count(*) FILTER (WHERE r.outcome = 'failed') AS failed,
        count(*) FILTER (WHERE r.outcome = 'retried') AS retried,
        count(*) FILTER (WHERE r.outcome = 'lost') AS lost,
        max(r.seconds) AS slowest_seconds,
        (array_agg(r.job_id ORDER BY r.seconds DESC NULLS LAST))[1] AS slowest_job_id
    FROM runs AS r
    GROUP BY r.minute, r.queue, r.task
), took AS (
    SELECT
        b.minute, b.queue, b.task,
        array_agg(b.bucket ORDER BY b.bucket) AS buckets,
        array_agg(b.runs ORDER BY b.bucket) AS counts
    FROM (
        SELECT
            r.minute, r.queue, r.task, count(*) AS runs,
            least(100, greatest(0, floor(ln(greatest(r.seconds, 0.001) * 1000) / ln(1.2))))::smallint AS bucket
        FROM runs AS r
        WHERE r.seconds IS NOT NULL
        GROUP BY 1, 2, 3, 5
    ) AS b
    GROUP BY b.minute, b.queue, b.task
), deferred AS (
    SELECT d.minute, d.queue, d.task, count(*) AS jobs
    FROM (
        SELECT date_trunc('minute', j.deferred_at) AS minute, j.queue_name AS queue, j.task_name AS task
        FROM {schema}.procrastinate_jobs AS j
        WHERE j.id > %(after_id)s::bigint
          AND j.deferred_at >= %(from_at)s::timestamptz
          AND j.deferred_at < %(until_at)s::timestamptz
        UNION ALL
        SELECT date_trunc('minute', a.deferred_at), a.queue_name, a.task_name
        FROM {schema}.attempts AS a
        WHERE a.job_id > %(after_id)s::bigint
          AND a.outcome = 'succeeded'
          AND a.deferred_at >= %(from_at)s::timestamptz
          AND a.deferred_at < %(until_at)s::timestamptz
    ) AS d
    GROUP BY d.minute, d.queue, d.task
)
INSERT INTO {schema}.minutes (
    minute, queue, task, deferred, succeeded, failed, retried, lost, buckets, counts,
    slowest_seconds, slowest_job_id
)
SELECT
    minute, queue, task, coalesce(d.jobs, 0), coalesce(e.succeeded, 0), coalesce(e.failed, 0),
    coalesce(e.retried, 0), coalesce(e.lost, 0), coalesce(t.buckets, '{}'), coalesce(t.counts, '{}'),
    e.slowest_seconds, CASE WHEN e.slowest_seconds IS NOT NULL THEN e.slowest_job_id END
FROM ended AS e
LEFT JOIN took AS t USING (minute, queue, task)
FULL JOIN deferred AS d USING (minute, queue, task)
ON CONFLICT DO NOTHING
RETURNING minute
