-- Take workers whose lease is over off the living; the registry says that they were lost.
--
-- Those that still hold a job stay until the rescue has taken it.
WITH gone AS (
    DELETE FROM {schema}.procrastinate_workers AS w
    USING {schema}.workers AS r
    WHERE r.id = w.id
      AND w.last_heartbeat < now() - make_interval(secs => r.lease_seconds)
      AND pg_postmaster_start_time() < now() - make_interval(secs => r.lease_seconds)
      AND NOT EXISTS (
          SELECT 1 FROM {schema}.procrastinate_jobs AS j WHERE j.worker_id = w.id AND j.status = 'doing'
      )
    RETURNING w.id
)
UPDATE {schema}.workers AS r
SET stopped_at = now(),
    stop_reason = 'lost: no heartbeat within its lease'
FROM gone
WHERE r.id = gone.id
  AND r.stopped_at IS NULL
