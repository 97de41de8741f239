-- Let a paused schedule go on from now; the ticks that came meanwhile are behind its mark.
--
-- No row back: it was not paused.
-- Index: crons_pkey.
UPDATE {schema}.crons AS c
SET paused_at = NULL,
    pause_reason = NULL,
    mark = greatest(c.mark, clock_timestamp())
WHERE c.task_name = %(task_name)s::text
  AND c.cron_id = %(cron_id)s::text
  AND c.paused_at IS NOT NULL
RETURNING c.task_name
