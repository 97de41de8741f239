-- Take up to `slots` ready jobs for a worker. Arguments come as text: a value that Python cannot
-- read must fail one job, not the fetch.
--
-- No row back: nothing is ready. Two workers never get the same job: SKIP LOCKED inside.
SELECT
    c.id,
    c.queue_name,
    c.task_name,
    c.priority,
    c.lock,
    c.queueing_lock,
    c.args::text AS args,
    c.attempts,
    c.claim,
    c.lost,
    c.scheduled_at
FROM {schema}.claim_v1(%(queues)s::varchar[], %(worker_id)s::bigint, %(slots)s::integer) AS c
