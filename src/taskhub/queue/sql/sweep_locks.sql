-- Look for locks that are free and have jobs behind them, and note them; see sweep_locks_v1.
SELECT {schema}.sweep_locks_v1(%(after)s::text) AS upto
