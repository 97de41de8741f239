-- All schedules that a worker declared or somebody paused, with the clock that counts.
SELECT
    c.task_name,
    c.cron_id,
    c.expression,
    c.zone,
    c.catch_up,
    c.jitter_seconds,
    c.mark,
    c.last_tick,
    c.last_job_id,
    c.paused_at,
    c.pause_reason
FROM {schema}.crons AS c
