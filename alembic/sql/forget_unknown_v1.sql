-- Forget that a task was unknown, if no job of it is set aside any more.
--
-- Whoever sets jobs aside holds the task's row: it is passed over then. The second look has a snapshot
-- that is younger than the row's lock. Index: jobs_unknown.
CREATE FUNCTION {schema}.forget_unknown_v1(_task text, _version integer) RETURNS void
LANGUAGE plpgsql
SET search_path = {schema}, pg_catalog, pg_temp
{planner}
AS $$
BEGIN
    FOR _look IN 1 .. 2 LOOP
        PERFORM FROM procrastinate_jobs AS j
        WHERE j.status = 'todo' AND j.gate = 4 AND j.task_name = _task AND coalesce(j.version, 1) = _version
        LIMIT 1;
        IF FOUND THEN
            RETURN;
        END IF;
        IF _look = 1 THEN
            PERFORM FROM unknown_tasks AS u
            WHERE u.task_name = _task AND u.version = _version
            FOR UPDATE SKIP LOCKED;
            IF NOT FOUND THEN
                RETURN;
            END IF;
        END IF;
    END LOOP;
    DELETE FROM unknown_tasks AS u WHERE u.task_name = _task AND u.version = _version;
END $$
