-- The marks of some schedules, and the one clock that counts.
--
-- No row for a schedule that was never registered, or that somebody deleted.
-- Index: crons_pkey.
SELECT
    c.task_name,
    c.cron_id,
    c.mark,
    c.paused_at IS NOT NULL AS is_paused,
    coalesce(%(now)s::timestamptz, clock_timestamp()) AS now
FROM unnest(%(tasks)s::text[], %(ids)s::text[]) AS asked (task_name, cron_id)
JOIN {schema}.crons AS c ON c.task_name = asked.task_name AND c.cron_id = asked.cron_id
