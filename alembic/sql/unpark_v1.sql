-- Let jobs that were held back for their task go on, as many as there is room for, 500 a queue at most:
-- to be ready, or behind their limit. The limits that must be looked at next.
--
-- Only in the queues of the worker that asks: it is about to claim them.
-- Index: jobs_parked. A loose scan over the queues where all are asked for.
CREATE FUNCTION {schema}.unpark_v1(_task text, _queues varchar[], _room integer) RETURNS text[]
LANGUAGE plpgsql
SET search_path = {schema}, pg_catalog, pg_temp
{planner}
AS $$
DECLARE
    _queue varchar := '';
    _names varchar[] := _queues;
    _moved text[];
    _limits text[];
    _rows integer;
    _left integer := least(coalesce(_room, 500), 500);
BEGIN
    IF _queues IS NULL THEN
        LOOP
            SELECT j.queue_name INTO _queue
            FROM procrastinate_jobs AS j
            WHERE j.status = 'todo' AND j.gate = 5 AND j.task_name = _task AND j.queue_name > _queue
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
            WHERE j.status = 'todo' AND j.gate = 5 AND j.task_name = _task AND j.queue_name = _queue
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
    RETURN _limits;
END $$
