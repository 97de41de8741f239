-- Note free locks that have jobs behind them; 500 locks a call, from `_after` on. Where to go on, or
-- NULL at the end.
--
-- Whoever frees a lock notes it, so this finds nothing, unless somebody deleted or changed rows by
-- hand. A loose scan: two index probes a lock, however many jobs stand behind it.
-- Indexes: jobs_behind, jobs_occupant.
CREATE FUNCTION {schema}.sweep_locks_v1(_after text) RETURNS text
LANGUAGE plpgsql
SET search_path = {schema}, pg_catalog, pg_temp
{planner}
AS $$
DECLARE
    _lock text := _after;
    _occupant bigint;
BEGIN
    FOR _round IN 1 .. 500 LOOP
        SELECT j.lock INTO _lock
        FROM procrastinate_jobs AS j
        WHERE j.status = 'todo' AND j.gate = 2 AND j.lock > _lock
        ORDER BY j.lock
        LIMIT 1;
        EXIT WHEN NOT FOUND;
        SELECT j.id INTO _occupant
        FROM procrastinate_jobs AS j
        WHERE j.lock = _lock AND j.gate IN (0, 3, 4, 5, 6) AND j.status IN ('todo', 'doing')
        LIMIT 1;
        IF NOT FOUND THEN
            INSERT INTO lock_notes (lock) VALUES (_lock);
        END IF;
    END LOOP;
    RETURN _lock;
END $$
