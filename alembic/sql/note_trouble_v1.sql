-- Note which jobs of a key failed or met a 429, where somebody asked to hear of it: a rule with a breaker
-- or feedback, or a task that declares feedback. Before their outcomes are stored; append-only, so that no
-- worker waits for another one.
--
-- What a task raises on purpose (Fail, Retry) and arguments that cannot be read are no failures here.
-- Indexes: rules_heeding, procrastinate_jobs_pkey.
CREATE FUNCTION {schema}.note_trouble_v1(_worker_id bigint, _outcomes text) RETURNS void
LANGUAGE plpgsql
SET search_path = {schema}, pg_catalog, pg_temp
{planner}
AS $$
BEGIN
    -- All that a failure costs elsewhere is this probe.
    PERFORM FROM rules AS r WHERE r.feedback OR r.breaker_failures IS NOT NULL LIMIT 1;
    IF NOT FOUND AND position('"has_feedback"' IN _outcomes) = 0 THEN
        RETURN;
    END IF;
    INSERT INTO limit_events (name, kind, job_id, started_at, at_most, reason)
    SELECT
        j.limit_key, CASE WHEN told.is_throttled THEN 'throttled' ELSE 'failed' END, told.id,
        j.started_at, coalesce(r.at_most, j.at_most),
        left(concat_ws(': ', told.error_class, told.error_message), 500)
    FROM json_to_recordset(_outcomes::json) AS told (
        id bigint, claim integer, outcome text, error_class text, error_message text,
        is_throttled boolean, has_feedback boolean
    )
    CROSS JOIN LATERAL (
        SELECT job.limit_key, job.started_at, job.at_most
        FROM procrastinate_jobs AS job
        WHERE job.id = told.id
          AND job.claim = told.claim
          AND job.worker_id = _worker_id
          AND job.status::text = 'doing'
          AND job.limit_key IS NOT NULL
        OFFSET 0
    ) AS j
    LEFT JOIN rules AS r ON r.name = j.limit_key
    WHERE CASE
        WHEN told.is_throttled THEN coalesce(r.feedback, told.has_feedback)
        ELSE r.breaker_failures IS NOT NULL AND told.outcome IN ('failed', 'retried')
         AND told.error_class NOT LIKE 'taskhub.queue.outcomes.%'
         AND told.error_class NOT LIKE 'taskhub.queue.reading.%'
    END;
END $$
