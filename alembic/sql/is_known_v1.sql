-- Whether a live worker knows a task in this version. Plain procrastinate workers do not say what they know.
-- Index: workers_pkey.
CREATE FUNCTION {schema}.is_known_v1(_task text, _version integer) RETURNS boolean
LANGUAGE plpgsql
STABLE
SET search_path = {schema}, pg_catalog, pg_temp
AS $$
BEGIN
    RETURN EXISTS (
        SELECT FROM procrastinate_workers AS w
        JOIN workers AS r ON r.id = w.id
        WHERE w.last_heartbeat >= now() - make_interval(secs => r.lease_seconds)
          AND _task = ANY(r.tasks)
          AND _version <= coalesce((r.versions ->> _task)::integer, 1)
    );
END $$
