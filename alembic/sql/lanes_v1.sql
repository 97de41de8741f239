-- The lanes in which a job is ready, a lane being a queue and a priority, with the first job's id:
-- the highest priority first, of equal ones that whose first job is the oldest.
--
-- The first job of a lane lends it one priority step for each `_ageing` seconds that it has been able to
-- run; 0: none. Of equal sums the higher priority comes first.
-- A loose scan: a few index probes for each lane, however many jobs are in it. `_queues` NULL: all.
-- Index: jobs_ready.
CREATE FUNCTION {schema}.lanes_v1(_queues varchar[], _ageing double precision)
RETURNS TABLE (queue_name varchar, priority integer, first_id bigint)
LANGUAGE plpgsql
SET search_path = {schema}, pg_catalog, pg_temp
{planner}
AS $$
DECLARE
    _queue varchar := '';
    _found record;
    _names varchar[];
    _below integer;
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
        _below := NULL;
        LOOP
            IF _below IS NULL THEN
                SELECT j.priority, j.id, greatest(j.deferred_at, j.scheduled_at) AS since INTO _found
                FROM procrastinate_jobs AS j
                WHERE j.status = 'todo' AND j.gate = 0 AND j.queue_name = _queue
                ORDER BY j.priority DESC, coalesce(j.place, j.id)
                LIMIT 1;
            ELSE
                SELECT j.priority, j.id, greatest(j.deferred_at, j.scheduled_at) AS since INTO _found
                FROM procrastinate_jobs AS j
                WHERE j.status = 'todo' AND j.gate = 0 AND j.queue_name = _queue
                  AND j.priority < _below
                ORDER BY j.priority DESC, coalesce(j.place, j.id)
                LIMIT 1;
            END IF;
            EXIT WHEN NOT FOUND;
            _below := _found.priority;
            _lanes := _lanes || jsonb_build_object(
                'queue_name', _queue, 'priority', _found.priority, 'first_id', _found.id,
                'steps', CASE WHEN _ageing > 0 THEN steps_v1(_found.since, _ageing) ELSE 0 END
            );
        END LOOP;
    END LOOP;
    RETURN QUERY
    SELECT l.queue_name, l.priority, l.first_id
    FROM jsonb_to_recordset(_lanes) AS l (
        queue_name varchar, priority integer, first_id bigint, steps double precision
    )
    ORDER BY l.priority + l.steps DESC, l.priority DESC, l.first_id;
END $$
