-- Tasks that no live worker has known for `_grace_seconds` though jobs of them wait, each told once in that
-- time to one worker of the fleet; `jobs` counts to 1,000.
--
-- It also forgets tasks of which no job waits, and notes tasks whose note somebody deleted.
-- Index: jobs_unknown, a loose scan.
CREATE FUNCTION {schema}.tell_unknown_v1(_grace_seconds double precision)
RETURNS TABLE (
    task_name varchar, version integer, since timestamptz, job_id bigint, queue_name varchar, jobs bigint
)
LANGUAGE plpgsql
SET search_path = {schema}, pg_catalog, pg_temp
{planner}
AS $$
#variable_conflict use_column
DECLARE
    _task record;
    _name varchar := '';
    _version integer := 0;
BEGIN
    FOR _round IN 1 .. 1000 LOOP
        SELECT j.task_name, coalesce(j.version, 1) INTO _name, _version
        FROM procrastinate_jobs AS j
        WHERE j.status = 'todo' AND j.gate = 4
          AND (j.task_name, coalesce(j.version, 1)) > (_name, _version)
        ORDER BY j.task_name, coalesce(j.version, 1)
        LIMIT 1;
        EXIT WHEN NOT FOUND;
        INSERT INTO unknown_tasks (task_name, version) VALUES (_name, _version) ON CONFLICT DO NOTHING;
    END LOOP;
    FOR _task IN SELECT u.task_name, u.version FROM unknown_tasks AS u ORDER BY u.told_at LIMIT 1000 LOOP
        PERFORM forget_unknown_v1(_task.task_name, _task.version);
    END LOOP;
    FOR _task IN
        UPDATE unknown_tasks AS u
        SET told_at = now()
        WHERE coalesce(u.told_at, u.since) <= now() - make_interval(secs => _grace_seconds)
          AND NOT is_known_v1(u.task_name, u.version)
        RETURNING u.task_name, u.version, u.since
    LOOP
        RETURN QUERY
        SELECT _task.task_name, _task.version, _task.since, min(f.id), min(f.queue_name)::varchar, count(*)
        FROM (
            SELECT j.id, j.queue_name
            FROM procrastinate_jobs AS j
            WHERE j.status = 'todo' AND j.gate = 4 AND j.task_name = _task.task_name
              AND coalesce(j.version, 1) = _task.version
            LIMIT 1000
        ) AS f;
    END LOOP;
END $$
