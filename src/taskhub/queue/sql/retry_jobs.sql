-- Let jobs that ended without success wait again, and say of every id what happened to it.
--
-- attempts and lost begin at 0: whoever retries by hand has mended the cause, so the task's own
-- retry policy starts afresh, and a job that used up its attempts would else fail at once. claim
-- never goes back; a cancelled job's note in the history used up one.
-- With step_seconds they are spread out: one is due at start_at, the next a step later, in the order of
-- their ids, behind the jobs that a call before has placed.
-- A row for every id, also unknown ones. Two operators at once: the second waits for the first's
-- rows, then finds them waiting and reports them as changed. A unique violation: a job with the
-- same queueing lock was deferred meanwhile; run it again.
-- Index: procrastinate_jobs_pkey; status::text keeps the planner off the partial indexes.
WITH asked AS (
    SELECT DISTINCT given.id FROM unnest(%(job_ids)s::bigint[]) AS given (id)
), ended AS MATERIALIZED (
    SELECT j.id, j.queueing_lock
    FROM {schema}.procrastinate_jobs AS j
    WHERE j.id = ANY(%(job_ids)s::bigint[])
      AND j.status::text = ANY(%(statuses)s::text[])
    ORDER BY j.id
    FOR UPDATE
), placed AS (
    SELECT
        ended.id,
        row_number() OVER (PARTITION BY ended.queueing_lock ORDER BY ended.id) AS place,
        -- NULL where they are not spread.
        %(start_at)s::timestamptz + make_interval(
            secs => %(step_seconds)s::double precision
                * (%(placed_before)s::bigint + row_number() OVER (ORDER BY ended.id) - 1)
        ) AS due_at
    FROM ended
), back AS (
    UPDATE {schema}.procrastinate_jobs AS j
    SET status = 'todo',
        gate = {schema}.gate_of_v1(
            coalesce(placed.due_at > clock_timestamp(), false), j.lock, j.limit_key, j.fair_key
        ),
        place = NULL,
        attempts = 0,
        lost = 0,
        interrupted = 0,
        claim = j.claim + (j.status::text = 'cancelled')::integer,
        scheduled_at = placed.due_at,
        finished_at = NULL,
        -- It would end again at once: who retries it wants it to run.
        expires_at = CASE WHEN j.expires_at > clock_timestamp() THEN j.expires_at END,
        worker_id = NULL,
        abort_requested = false,
        -- Only one job with a queueing lock may wait.
        queueing_lock = CASE WHEN placed.place = 1 AND NOT EXISTS (
            SELECT 1 FROM {schema}.procrastinate_jobs AS twin
            WHERE twin.queueing_lock = j.queueing_lock AND twin.status = 'todo'
        ) THEN j.queueing_lock END
    FROM placed
    WHERE j.id = placed.id
    RETURNING j.id, j.lock, j.limit_key, j.queue_name, j.gate, j.priority, j.fair_key
), noted AS (
    INSERT INTO {schema}.lock_notes (lock)
    SELECT DISTINCT back.lock FROM back WHERE back.lock IS NOT NULL
), noted_limits AS (
    INSERT INTO {schema}.lock_notes (lock, is_limit)
    SELECT DISTINCT back.limit_key, true FROM back WHERE back.limit_key IS NOT NULL
), noted_turns AS (
    INSERT INTO {schema}.fair_notes (queue_name, priority, fair_key)
    SELECT DISTINCT back.queue_name, back.priority, back.fair_key FROM back WHERE back.gate = 6
), woken AS (
    SELECT pg_notify('{schema}', q.queue_name)
    FROM (SELECT DISTINCT back.queue_name FROM back) AS q
)
SELECT
    asked.id AS job_id,
    coalesce(j.status::text, done.status) AS was,
    CASE
        WHEN back.id IS NOT NULL THEN 'retried'
        WHEN j.status::text = ANY(%(statuses)s::text[]) THEN 'changed meanwhile'
        WHEN j.id IS NOT NULL OR done.status IS NOT NULL THEN 'not failed'
        ELSE 'unknown'
    END AS outcome,
    (SELECT count(*) FROM woken) AS queues_woken
FROM asked
LEFT JOIN back ON back.id = asked.id
LEFT JOIN {schema}.procrastinate_jobs AS j ON j.id = asked.id
LEFT JOIN LATERAL (
    SELECT 'succeeded' AS status
    FROM {schema}.attempts AS a
    WHERE a.job_id = asked.id
      AND a.outcome = 'succeeded'
    LIMIT 1
) AS done ON j.id IS NULL
ORDER BY asked.id
