-- Claim up to `_slots` jobs of one lane, a queue and a priority, by place, from behind a place on. It is
-- a job's id, unless promote_turns_v1 gave it another one.
--
-- Jobs that others are claiming are skipped. A job that two workers were lost with is left alone:
-- it is claimed by itself, see claim_suspect_v1.
-- Index: jobs_ready, whose last key is an expression: for a plain id the planner was seen to walk the primary
-- key, over everything else that waits. A row is then found by its place: a join by id was planned,
-- while the table was small, as a scan of the whole primary key, and the plan was kept.
CREATE FUNCTION {schema}.claim_lane_v1(
    _worker_id bigint, _queue varchar, _priority integer, _from double precision, _slots integer
) RETURNS SETOF {schema}.claimed_job
LANGUAGE plpgsql
SET search_path = {schema}, pg_catalog, pg_temp
{planner}
AS $$
BEGIN
    RETURN QUERY
    WITH chosen AS MATERIALIZED (
        SELECT j.ctid AS place
        FROM procrastinate_jobs AS j
        WHERE j.status = 'todo'
          AND j.gate = 0
          AND j.queue_name = _queue
          AND j.priority = _priority
          AND coalesce(j.place, j.id) > _from
          AND j.lost < 2
        ORDER BY coalesce(j.place, j.id)
        LIMIT _slots
        FOR UPDATE SKIP LOCKED
    )
    UPDATE procrastinate_jobs AS j
    SET status = 'doing',
        worker_id = _worker_id,
        claim = j.claim + 1,
        started_at = clock_timestamp(),
        finished_at = NULL
    FROM chosen
    WHERE j.ctid = chosen.place
    RETURNING
        j.id, j.queue_name, j.task_name, j.priority, j.lock, j.queueing_lock, j.args::text,
        j.attempts, j.claim, j.lost, j.scheduled_at, j.version,
        j.expires_at <= clock_timestamp(), coalesce(j.place, j.id),
        extract(epoch FROM clock_timestamp() - greatest(j.deferred_at, j.scheduled_at))::double precision,
        j.trace;
END $$
