-- Take the ticks of a schedule up to one that has come, in the transaction that inserts their jobs.
--
-- No row back: another worker took them, somebody paused the schedule, or the tick lies ahead of the
-- database's clock. Two workers at once: the second waits for the first's commit and then no longer
-- matches; after a rollback it does, and takes them.
-- Index: crons_pkey.
UPDATE {schema}.crons AS c
SET mark = %(until)s::timestamptz,
    last_tick = %(until)s::timestamptz
WHERE c.task_name = %(task_name)s::text
  AND c.cron_id = %(cron_id)s::text
  AND c.mark = %(mark)s::timestamptz
  AND c.paused_at IS NULL
  AND %(until)s::timestamptz > c.mark
  AND %(until)s::timestamptz <= coalesce(%(now)s::timestamptz, clock_timestamp())
RETURNING c.task_name
