-- The last statement of a transactional task: end its job as succeeded, in the task's own transaction.
--
-- The job's row is locked from here to the commit, so a process that is paused between the two loses
-- its session before its lease: the rescue passes over a locked row. Its lock and its limit are noted for the ticks.
-- Index: procrastinate_jobs_pkey.
WITH ended AS (
    SELECT a.stored, a.freed, a.slots
    FROM {schema}.ack_v1(
        %(worker_id)s::bigint,
        ARRAY[%(job_id)s::bigint],
        ARRAY[%(claim)s::integer],
        %(extras)s::text
    ) AS a
), freed AS (
    INSERT INTO {schema}.lock_notes (lock)
    SELECT unnest(ended.freed) FROM ended
), let_go AS (
    INSERT INTO {schema}.lock_notes (lock, is_limit)
    SELECT unnest(ended.slots), true FROM ended
)
SELECT
    ended.stored IS NOT NULL AS stored,
    set_config('idle_in_transaction_session_timeout', %(idle_milliseconds)s::text, true)
FROM ended
