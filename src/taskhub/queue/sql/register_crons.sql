-- Enter schedules, given as one JSON array; one that is new begins now, with nothing to catch up.
--
-- One that is known keeps its mark, whatever its expression was before. Rows are taken in one order,
-- so that two workers that start together wait for each other at most once.
-- Index: crons_pkey.
INSERT INTO {schema}.crons AS c
    (task_name, cron_id, expression, zone, catch_up, jitter_seconds, mark)
SELECT
    cron.task_name, cron.cron_id, cron.expression, cron.zone, cron.catch_up, cron.jitter_seconds,
    coalesce(%(now)s::timestamptz, clock_timestamp())
FROM json_to_recordset(%(crons)s::text::json) AS cron (
    task_name text,
    cron_id text,
    expression text,
    zone text,
    catch_up text,
    jitter_seconds double precision
)
ORDER BY cron.task_name, cron.cron_id
ON CONFLICT (task_name, cron_id) DO UPDATE
SET expression = excluded.expression,
    zone = excluded.zone,
    catch_up = excluded.catch_up,
    jitter_seconds = excluded.jitter_seconds
WHERE (c.expression, c.zone, c.catch_up, c.jitter_seconds)
    IS DISTINCT FROM
    (excluded.expression, excluded.zone, excluded.catch_up, excluded.jitter_seconds)
