-- Keep which job a schedule got last, in the transaction that has its row already.
-- Index: crons_pkey.
UPDATE {schema}.crons AS c
SET last_job_id = %(job_id)s::bigint
WHERE c.task_name = %(task_name)s::text
  AND c.cron_id = %(cron_id)s::text
