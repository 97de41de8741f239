-- The session whose open transaction has locked a job's row, so that claims pass over it.
--
-- The row tells its last locker by xmax, and whoever still has that transaction is among the locks.
-- No row back: nobody has, or several share the lock, which no claim of ours does.
-- Index: procrastinate_jobs_pkey; the rest are views of the server's memory.
SELECT s.pid, nullif(s.application_name, '') AS name, s.state, s.xact_start AS since
FROM {schema}.procrastinate_jobs AS j
JOIN pg_locks AS l
    ON l.locktype = 'transactionid'
   AND l.mode = 'ExclusiveLock'
   AND l.granted
   AND l.transactionid = j.xmax
JOIN pg_stat_activity AS s ON s.pid = l.pid
WHERE j.id = %(job_id)s::bigint
  AND s.pid <> pg_backend_pid()
LIMIT 1
