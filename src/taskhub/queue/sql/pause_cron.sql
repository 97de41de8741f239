-- Pause a schedule; one that no worker has declared yet is entered, so that it begins paused.
--
-- The reason of a schedule that is paused already is replaced, the time is kept. A worker that stores
-- a tick at the same moment comes before or after, never in between.
-- Index: crons_pkey.
INSERT INTO {schema}.crons AS c
    (task_name, cron_id, expression, zone, catch_up, jitter_seconds, mark, paused_at, pause_reason)
VALUES (
    %(task_name)s::text, %(cron_id)s::text, %(expression)s::text, %(zone)s::text, %(catch_up)s::text,
    %(jitter_seconds)s::double precision, clock_timestamp(), clock_timestamp(), %(reason)s::text
)
ON CONFLICT (task_name, cron_id) DO UPDATE
SET paused_at = coalesce(c.paused_at, excluded.paused_at),
    pause_reason = excluded.pause_reason
RETURNING c.task_name
