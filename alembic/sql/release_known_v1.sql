-- Let jobs that were set aside go on, for a worker that knows their task in their version and is about to
-- claim them: `_room` at most, in its queues. The limits that must be looked at next.
--
-- No more than it can claim at once, so that a worker which does not know them hardly ever meets them again.
-- A plain procrastinate worker does not say what it knows: it may take what is of version 1. A task of which
-- no job is left is forgotten.
-- Indexes: unknown_tasks_pkey, jobs_unknown. A loose scan over the queues where all are asked for.
CREATE FUNCTION {schema}.release_known_v1(_worker_id bigint, _queues varchar[], _room integer)
RETURNS text[]
LANGUAGE plpgsql
SET search_path = {schema}, pg_catalog, pg_temp
{planner}
AS $$
DECLARE
    _task record;
    _tasks text[];
    _versions jsonb;
    _is_ours boolean;
    _queue varchar;
    _names varchar[];
    _moved text[];
    _limits text[];
    _rows integer;
    _left integer := least(_room, 500);
BEGIN
    SELECT r.tasks, r.versions INTO _tasks, _versions FROM workers AS r WHERE r.id = _worker_id;
    _is_ours := FOUND;
    FOR _task IN
        SELECT u.task_name, u.version
        FROM unknown_tasks AS u
        WHERE u.task_name = ANY(_tasks) AND u.version <= coalesce((_versions ->> u.task_name)::integer, 1)
        UNION ALL
        SELECT u.task_name, u.version FROM unknown_tasks AS u WHERE NOT _is_ours AND u.version = 1
        LIMIT 100
    LOOP
        EXIT WHEN _left <= 0;
        _names := _queues;
        IF _queues IS NULL THEN
            _queue := '';
            LOOP
                SELECT j.queue_name INTO _queue
                FROM procrastinate_jobs AS j
                WHERE j.status = 'todo' AND j.gate = 4 AND j.task_name = _task.task_name
                  AND coalesce(j.version, 1) = _task.version AND j.queue_name > _queue
                ORDER BY j.queue_name
                LIMIT 1;
                EXIT WHEN NOT FOUND;
                _names := _names || _queue;
            END LOOP;
        END IF;
        FOREACH _queue IN ARRAY coalesce(_names, '{}') LOOP
            EXIT WHEN _left <= 0;
            WITH chosen AS MATERIALIZED (
                SELECT j.ctid AS place
                FROM procrastinate_jobs AS j
                WHERE j.status = 'todo' AND j.gate = 4 AND j.task_name = _task.task_name
                  AND coalesce(j.version, 1) = _task.version AND j.queue_name = _queue
                ORDER BY j.priority DESC, j.id
                LIMIT _left
                FOR UPDATE SKIP LOCKED
            ), moved AS (
                UPDATE procrastinate_jobs AS j
                SET gate = CASE WHEN j.limit_key IS NULL THEN 0 ELSE 3 END
                FROM chosen
                WHERE j.ctid = chosen.place
                RETURNING j.limit_key
            )
            SELECT
                array_agg(DISTINCT moved.limit_key) FILTER (WHERE moved.limit_key IS NOT NULL), count(*)
            INTO _moved, _rows
            FROM moved;
            _limits := _limits || _moved;
            _left := _left - _rows;
        END LOOP;
        PERFORM forget_unknown_v1(_task.task_name, _task.version);
    END LOOP;
    RETURN _limits;
END $$
