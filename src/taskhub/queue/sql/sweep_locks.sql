-- Look for locks that are free and have jobs behind them, and note them; see sweep_locks_v1.
-- The same for limits; each goes on where its last call ended.
SELECT {schema}.sweep_locks_v1(%(after)s::text) AS upto, {schema}.sweep_limits_v1(%(after_limit)s::text) AS limit_upto
