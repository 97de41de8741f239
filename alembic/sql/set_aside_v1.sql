-- After a worker has set jobs aside whose task, or whose version of it, it does not know: note the task, and
-- set aside what is alike at the front of the lanes they came from, 2,000 looked at in each.
--
-- So a million such jobs are out of the way of the others in a few hundred ticks, and none is met twice.
-- They keep their locks, since order within a lock is kept, and give up the slots of their limits. Only a
-- worker that knows the task takes them up, see release_known_v1; if one lives, it is woken.
-- Indexes: procrastinate_jobs_pkey, jobs_ready.
CREATE FUNCTION {schema}.set_aside_v1(_ids bigint[]) RETURNS void
LANGUAGE plpgsql
SET search_path = {schema}, pg_catalog, pg_temp
{planner}
AS $$
DECLARE
    _lane record;
    _limits text[];
BEGIN
    FOR _lane IN
        SELECT DISTINCT j.task_name, coalesce(j.version, 1) AS version, j.queue_name, j.priority
        FROM procrastinate_jobs AS j
        WHERE j.id = ANY(_ids)
        ORDER BY 1, 2
    LOOP
        -- Shared, so that nobody forgets the task while jobs of it are being set aside.
        PERFORM FROM unknown_tasks AS u
        WHERE u.task_name = _lane.task_name AND u.version = _lane.version
        FOR SHARE;
        IF NOT FOUND THEN
            INSERT INTO unknown_tasks (task_name, version) VALUES (_lane.task_name, _lane.version)
            ON CONFLICT DO NOTHING;
        END IF;
        WITH front AS MATERIALIZED (
            SELECT j.ctid AS place, j.task_name, j.version
            FROM procrastinate_jobs AS j
            WHERE j.status = 'todo'
              AND j.gate = 0
              AND j.queue_name = _lane.queue_name
              AND j.priority = _lane.priority
              AND j.lost < 2
            ORDER BY coalesce(j.place, j.id)
            LIMIT 2000
        ), alike AS MATERIALIZED (
            SELECT j.ctid AS place
            FROM front
            JOIN procrastinate_jobs AS j ON j.ctid = front.place
            WHERE front.task_name = _lane.task_name AND coalesce(front.version, 1) = _lane.version
            FOR UPDATE OF j SKIP LOCKED
        ), moved AS (
            UPDATE procrastinate_jobs AS j
            SET gate = 4
            FROM alike
            WHERE j.ctid = alike.place
            RETURNING j.limit_key
        )
        SELECT array_agg(DISTINCT moved.limit_key) FILTER (WHERE moved.limit_key IS NOT NULL)
        INTO _limits
        FROM moved;
        IF _limits IS NOT NULL THEN
            INSERT INTO lock_notes (lock, is_limit) SELECT unnest(_limits), true;
        END IF;
        IF is_known_v1(_lane.task_name, _lane.version) THEN
            PERFORM pg_notify('{schema}', _lane.queue_name);
        END IF;
    END LOOP;
END $$
