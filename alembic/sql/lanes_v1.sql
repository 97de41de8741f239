-- The lanes in which a job is ready, a lane being a queue and a priority, with the first job's id:
-- the highest priority first, of equal ones that whose first job is the oldest.
--
-- A loose scan: a few index probes for each lane, however many jobs are in it. `_queues` NULL: all.
-- Index: jobs_ready.
CREATE FUNCTION {schema}.lanes_v1(_queues varchar[])
RETURNS TABLE (queue_name varchar, priority integer, first_id bigint)
LANGUAGE plpgsql
SET search_path = {schema}, pg_catalog, pg_temp
{planner}
AS $$
DECLARE
    _queue varchar := '';
    _found record;
    _names varchar[];
    _lanes jsonb := '[]';
BEGIN
    IF _queues IS NULL THEN
        LOOP
            SELECT j.queue_name INTO _queue
            FROM procrastinate_jobs AS j
            WHERE j.status = 'todo' AND j.gate = 0 AND j.queue_name > _queue
            ORDER BY j.queue_name
            LIMIT 1;
            EXIT WHEN NOT FOUND;
            _names := _names || _queue;
        END LOOP;
    ELSE
        _names := _queues;
    END IF;
    FOREACH _queue IN ARRAY coalesce(_names, '{}') LOOP
        SELECT j.priority, j.id INTO _found
        FROM procrastinate_jobs AS j
        WHERE j.status = 'todo' AND j.gate = 0 AND j.queue_name = _queue
        ORDER BY j.priority DESC, j.id + 0
        LIMIT 1;
        WHILE FOUND LOOP
            _lanes := _lanes || jsonb_build_object(
                'queue_name', _queue, 'priority', _found.priority, 'first_id', _found.id
            );
            SELECT j.priority, j.id INTO _found
            FROM procrastinate_jobs AS j
            WHERE j.status = 'todo' AND j.gate = 0 AND j.queue_name = _queue
              AND j.priority < _found.priority
            ORDER BY j.priority DESC, j.id + 0
            LIMIT 1;
        END LOOP;
    END LOOP;
    RETURN QUERY
    SELECT l.queue_name, l.priority, l.first_id
    FROM jsonb_to_recordset(_lanes) AS l (queue_name varchar, priority integer, first_id bigint)
    ORDER BY l.priority DESC, l.first_id;
END $$
