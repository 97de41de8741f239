-- procrastinate's pruning of dead workers, which every one of its workers does when it starts: ours
-- have leases of their own and are buried by the rescue, with their jobs.
CREATE OR REPLACE FUNCTION {schema}.procrastinate_prune_stalled_workers_v1(
    seconds_since_heartbeat double precision
) RETURNS TABLE (worker_id bigint)
LANGUAGE plpgsql
SET search_path = {schema}, pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
    DELETE FROM procrastinate_workers AS p
    WHERE p.last_heartbeat < now() - make_interval(secs => seconds_since_heartbeat)
      AND NOT EXISTS (SELECT 1 FROM workers AS w WHERE w.id = p.id)
    RETURNING p.id;
END $$
