-- Claim up to `_most` more ready jobs of one task, in one lane, from behind a place on: they join a call that a
-- claimed job of a batch task has begun, and take no slot of their own.
--
-- It looks at the next 500 ready jobs of the lane, or four times as many as are wanted, whatever
-- else waits. No row back: the task's next jobs lie further behind, others are claiming them, or the
-- queue or the task has a rule: then ticks alone claim, which count under its lock.
-- Index: jobs_ready, and by place; see claim_lane_v1.
CREATE FUNCTION {schema}.claim_more_v1(
    _worker_id bigint, _queue varchar, _priority integer, _task varchar,
    _from double precision, _most integer
) RETURNS SETOF {schema}.claimed_job
LANGUAGE plpgsql
SET search_path = {schema}, pg_catalog, pg_temp
{planner}
AS $$
BEGIN
    PERFORM FROM rules AS r WHERE r.name IN ('queue:' || _queue, 'task:' || _task) LIMIT 1;
    IF FOUND THEN
        RETURN;
    END IF;
    RETURN QUERY
    WITH near AS MATERIALIZED (
        SELECT j.ctid AS place
        FROM procrastinate_jobs AS j
        WHERE j.status = 'todo'
          AND j.gate = 0
          AND j.queue_name = _queue
          AND j.priority = _priority
          AND coalesce(j.place, j.id) > _from
        ORDER BY coalesce(j.place, j.id)
        LIMIT greatest(500, 4 * _most)
    ), chosen AS MATERIALIZED (
        SELECT j.ctid AS place
        FROM near
        JOIN procrastinate_jobs AS j ON j.ctid = near.place
        WHERE j.task_name = _task
          AND j.status::text = 'todo'
          AND j.gate = 0
          AND j.lost < 2
        LIMIT _most
        FOR UPDATE OF j SKIP LOCKED
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
        j.attempts, j.claim, j.lost, j.scheduled_at, j.version, j.expires_at <= clock_timestamp(),
        coalesce(j.place, j.id),
        extract(epoch FROM clock_timestamp() - greatest(j.deferred_at, j.scheduled_at))::double precision,
        j.trace;
END $$
