-- procrastinate's fetch, for its own workers beside ours: one job, by priority, then by id.
CREATE OR REPLACE FUNCTION {schema}.procrastinate_fetch_job_v2(
    target_queue_names character varying[],
    p_worker_id bigint
) RETURNS {schema}.procrastinate_jobs
LANGUAGE plpgsql
SET search_path = {schema}, pg_catalog, pg_temp
{planner}
AS $$
DECLARE
    _lane record;
    _limits text[];
    _rooms jsonb;
    _job_id bigint;
    _job procrastinate_jobs;
BEGIN
    SELECT r.rooms, r.limits INTO _rooms, _limits FROM rooms_v1(target_queue_names, 2) AS r;
    PERFORM expire_v1();
    PERFORM promote_limits_v1(_limits || d.limits || n.limits || p.limits)
    FROM promote_due_v1('-infinity') AS d
    CROSS JOIN take_notes_v1(0) AS n
    CROSS JOIN LATERAL promote_locks_v1(d.locks || n.locks) AS p;
    -- What our workers set aside because they do not know it, this one may know.
    PERFORM promote_limits_v1(release_known_v1(p_worker_id, target_queue_names, 1));
    PERFORM share_turns_v1(target_queue_names, 1, 0);
    FOR _lane IN SELECT l.queue_name, l.priority FROM lanes_v1(target_queue_names, 0) AS l LOOP
        SELECT c.id INTO _job_id
        FROM claim_ruled_v1(
            p_worker_id, _lane.queue_name, _lane.priority, -1, 1, coalesce(_rooms, '{}')
        ) AS c
        WHERE c.id IS NOT NULL;
        EXIT WHEN FOUND;
    END LOOP;
    IF _job_id IS NOT NULL THEN
        SELECT j.* INTO _job FROM procrastinate_jobs AS j WHERE j.id = _job_id;
        IF _job.expires_at <= clock_timestamp() THEN
            UPDATE procrastinate_jobs AS j
            SET status = 'cancelled', finished_at = clock_timestamp()
            WHERE j.id = _job_id;
            PERFORM note_cancelled_v1(_job, 'expired');
            _job := NULL;
        END IF;
    END IF;
    RETURN _job;
END $$
