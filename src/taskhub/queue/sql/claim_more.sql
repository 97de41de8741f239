-- Claim more jobs of batch tasks, for calls that gather; see claim_more_v1.
--
-- No row back: no more of them is near, or a rule says how many may run.
SELECT
    c.id, c.queue_name, c.task_name, c.priority, c.lock, c.queueing_lock, c.args, c.attempts, c.claim,
    c.lost, c.scheduled_at, c.version, c.is_expired, c.place, c.waited_seconds, c.trace
FROM unnest(
    %(queues)s::varchar[], %(priorities)s::integer[], %(tasks)s::varchar[], %(places)s::double precision[],
    %(rooms)s::integer[]
) AS asked (queue_name, priority, task_name, place, room)
CROSS JOIN LATERAL {schema}.claim_more_v1(
    %(worker_id)s::bigint, asked.queue_name, asked.priority, asked.task_name, asked.place, asked.room
) AS c
