-- Forget a schedule, its mark and its pause.
--
-- No row back: somebody was first.
-- Index: crons_pkey.
DELETE FROM {schema}.crons AS c
WHERE c.task_name = %(task_name)s::text
  AND c.cron_id = %(cron_id)s::text
RETURNING c.task_name
