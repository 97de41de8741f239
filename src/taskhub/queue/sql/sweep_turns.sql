-- Look for fair keys with waiting jobs and without a turn, and note them; see sweep_turns_v1.
SELECT s.queue, s.lane, s.key
FROM {schema}.sweep_turns_v1(%(queue)s::varchar, %(lane)s::integer, %(key)s::text) AS s
