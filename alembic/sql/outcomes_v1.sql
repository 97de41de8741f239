-- Store every other outcome than success: failed, aborted and expired end a job, retried, snoozed and
-- interrupted let it wait again, unknown sets it aside (gate 4, see set_aside_v1) and leaves no trace in
-- the history. `_outcomes` is a JSON array of objects, see the columns below.
--
-- `stored` lacks the ids whose claim was lost; `freed` are the locks that the others held or ask for
-- now, `slots` the limits they counted for. A job that shutdowns interrupted 20 times ends as failed: it takes longer than any worker
-- lives. A unique violation: a job with the same queueing lock waits; ask again with
-- drop_queueing_lock, since a job that ran must not be stuck behind one that came later.
-- Index: procrastinate_jobs_pkey.
CREATE FUNCTION {schema}.outcomes_v1(
    _worker_id bigint,
    _outcomes text,
    OUT stored bigint[],
    OUT freed text[],
    OUT slots text[]
)
LANGUAGE plpgsql
SET search_path = {schema}, pg_catalog, pg_temp
{planner}
AS $$
DECLARE
    _unknown bigint[];
BEGIN
    WITH told AS MATERIALIZED (
        SELECT *
        FROM json_to_recordset(_outcomes::json) AS (
            id bigint, claim integer, outcome text, delay_seconds double precision, at timestamptz,
            priority integer, queue_name varchar, lock text, drop_queueing_lock boolean,
            error_class text, error_message text, traceback text, fingerprint text, log text
        )
    ), before AS MATERIALIZED (
        SELECT
            j.place, j.lock AS old_lock, told.priority,
            CASE
                WHEN told.outcome = 'expired' THEN 'cancelled'
                WHEN asked.job_id IS NULL OR told.outcome = 'failed' THEN told.outcome
                ELSE 'aborted'
            END AS outcome, told.queue_name, told.lock,
            told.drop_queueing_lock, told.error_class, told.error_message, told.traceback,
            told.fingerprint, told.log,
            told.outcome = 'interrupted' AND j.interrupted >= 19 AS is_worn_out,
            coalesce(told.at, clock_timestamp() + make_interval(secs => told.delay_seconds)) AS again_at,
            CASE
                WHEN told.outcome IN ('failed', 'aborted') THEN told.outcome
                WHEN told.outcome = 'expired' THEN 'cancelled'
                -- Somebody asked that it stop, and it was too late to tell it.
                WHEN asked.job_id IS NOT NULL THEN 'aborted'
                WHEN told.outcome = 'interrupted' AND j.interrupted >= 19 THEN 'failed'
                ELSE 'todo'
            END::procrastinate_job_status AS next_status
        FROM told
        CROSS JOIN LATERAL (
            SELECT job.ctid AS place, job.lock, job.interrupted
            FROM procrastinate_jobs AS job
            WHERE job.id = told.id
              AND job.claim = told.claim
              AND job.worker_id = _worker_id
              AND job.status::text = 'doing'
            FOR UPDATE
        ) AS j
        LEFT JOIN LATERAL (
            SELECT c.job_id FROM cancel_requests AS c
            WHERE c.job_id = told.id AND c.claim = told.claim
            LIMIT 1
        ) AS asked ON true
    ), changed AS (
        UPDATE procrastinate_jobs AS j
        SET status = before.next_status,
            gate = CASE
                WHEN before.next_status <> 'todo' THEN 0
                WHEN before.outcome = 'unknown' THEN 4
                ELSE gate_of_v1(
                    before.again_at > clock_timestamp(), coalesce(before.lock, j.lock), j.limit_key,
                    j.fair_key
                )
            END,
            attempts = j.attempts + (before.outcome IN ('failed', 'aborted', 'retried'))::integer,
            interrupted = j.interrupted + (before.outcome = 'interrupted')::integer,
            scheduled_at = CASE
                WHEN before.next_status = 'todo' AND before.outcome <> 'unknown' THEN before.again_at
                ELSE j.scheduled_at
            END,
            finished_at = CASE WHEN before.next_status <> 'todo' THEN clock_timestamp() END,
            priority = coalesce(before.priority, j.priority),
            queue_name = coalesce(before.queue_name, j.queue_name),
            lock = coalesce(before.lock, j.lock),
            queueing_lock = CASE WHEN before.drop_queueing_lock THEN NULL ELSE j.queueing_lock END,
            abort_requested = false,
            worker_id = CASE WHEN before.next_status <> 'todo' THEN j.worker_id END,
            place = CASE WHEN before.outcome = 'unknown' THEN j.place END
        FROM before
        WHERE j.ctid = before.place
        RETURNING
            j.id, j.claim, j.attempts, j.queue_name, j.task_name, j.started_at, j.lock, j.limit_key,
            j.gate, j.priority, j.fair_key,
            before.old_lock, before.outcome, before.traceback, before.fingerprint, before.log,
            CASE WHEN before.is_worn_out THEN 'Interrupted' ELSE before.error_class END AS error_class,
            CASE
                WHEN before.is_worn_out THEN 'cut by 20 shutdowns; it takes longer than any worker lives'
                ELSE before.error_message
            END AS error_message
    ), noted AS (
        INSERT INTO attempts (
            job_id, claim, attempt, outcome, queue_name, task_name, worker_id, started_at,
            finished_at, error_class, error_message, traceback, fingerprint, log
        )
        SELECT
            c.id, c.claim, c.attempts + (c.outcome IN ('snoozed', 'interrupted'))::integer,
            c.outcome::attempt_outcome, c.queue_name, c.task_name, _worker_id, c.started_at,
            clock_timestamp(), c.error_class, c.error_message, c.traceback, c.fingerprint, c.log
        FROM changed AS c
        WHERE c.outcome <> 'unknown'
    ), turns AS (
        INSERT INTO fair_notes (queue_name, priority, fair_key)
        SELECT DISTINCT c.queue_name, c.priority, c.fair_key FROM changed AS c WHERE c.gate = 6
    ), locks AS (
        SELECT c.lock FROM changed AS c WHERE c.lock IS NOT NULL
        UNION
        SELECT c.old_lock FROM changed AS c WHERE c.old_lock IS NOT NULL
    )
    SELECT
        (SELECT array_agg(c.id) FROM changed AS c),
        (SELECT array_agg(locks.lock) FROM locks),
        (SELECT array_agg(DISTINCT c.limit_key) FILTER (WHERE c.limit_key IS NOT NULL) FROM changed AS c),
        (SELECT array_agg(c.id) FROM changed AS c WHERE c.outcome = 'unknown')
    INTO stored, freed, slots, _unknown;
    IF _unknown IS NOT NULL THEN
        PERFORM set_aside_v1(_unknown);
    END IF;
END $$
