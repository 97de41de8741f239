-- Store what has finished and claim what fits, in one round trip; see tick_v1.
--
-- The last row has no id: its args are a JSON object with what else there is to know.
SELECT
    t.id, t.queue_name, t.task_name, t.priority, t.lock, t.queueing_lock, t.args, t.attempts, t.claim,
    t.lost, t.scheduled_at, t.version, t.is_expired, t.place, t.waited_seconds, t.trace
FROM {schema}.tick_v1(
    %(worker_id)s::bigint,
    %(done_ids)s::bigint[],
    %(done_claims)s::integer[],
    %(done_extras)s::text,
    %(outcomes)s::text,
    %(slots)s::integer,
    %(queues)s::varchar[],
    %(lane_queues)s::varchar[],
    %(lane_priorities)s::integer[],
    %(lane_behind)s::double precision[],
    %(shares)s::jsonb,
    %(ageing)s::double precision,
    %(sweep)s::integer,
    %(alone)s::boolean,
    %(note_from)s::bigint,
    %(fair_from)s::bigint,
    %(due_from)s::timestamptz,
    %(notify)s::boolean
) AS t
