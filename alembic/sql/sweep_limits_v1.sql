-- Note keys that have jobs behind them, 500 a call, from `_after` on, and clear up rules that say nothing
-- any more. Where to go on, or NULL at the end.
--
-- Whoever frees a slot notes it; this is for what was changed by hand, and for rows that somebody's
-- transaction held when there was room. A task whose jobs were set aside by a tick that had read its rule
-- before it went gets an empty rule, which lets them go on.
-- Loose scans. Indexes: jobs_limited, jobs_parked.
CREATE FUNCTION {schema}.sweep_limits_v1(_after text) RETURNS text
LANGUAGE plpgsql
SET search_path = {schema}, pg_catalog, pg_temp
{planner}
AS $$
DECLARE
    _key text := _after;
    _task varchar := '';
BEGIN
    LOOP
        SELECT j.task_name INTO _task
        FROM procrastinate_jobs AS j
        WHERE j.status = 'todo' AND j.gate = 5 AND j.task_name > _task
        ORDER BY j.task_name
        LIMIT 1;
        EXIT WHEN NOT FOUND;
        INSERT INTO rules (name) VALUES ('task:' || _task) ON CONFLICT (name) DO NOTHING;
    END LOOP;
    DELETE FROM rules AS r
    WHERE r.name = ANY(ARRAY(
        SELECT o.name FROM rules AS o
        WHERE o.at_most IS NULL AND o.rate IS NULL AND o.breaker_failures IS NULL AND o.paused_at IS NULL
          AND NOT EXISTS (
              SELECT FROM procrastinate_jobs AS j
              WHERE j.status = 'todo' AND j.gate = 5 AND j.task_name = substr(o.name, 6)
                AND o.kind = 'task'
          )
        FOR UPDATE SKIP LOCKED
    ));
    FOR _round IN 1 .. 500 LOOP
        SELECT j.limit_key INTO _key
        FROM procrastinate_jobs AS j
        WHERE j.status = 'todo' AND j.gate = 3 AND j.limit_key > _key
        ORDER BY j.limit_key
        LIMIT 1;
        EXIT WHEN NOT FOUND;
        INSERT INTO lock_notes (lock, is_limit) VALUES (_key, true);
    END LOOP;
    RETURN _key;
END $$
