-- Claim one job that two workers or more were lost with, for a worker that runs nothing else: if it
-- kills this one too, no neighbour dies with it, and only the guilty one reaches the cap.
--
-- No row back: there is none, others are taking it, or `_rooms` (see rooms_v1) has no room for it.
-- Index: jobs_suspect.
CREATE FUNCTION {schema}.claim_suspect_v1(
    _worker_id bigint, _queues varchar[], _rooms jsonb
)
RETURNS SETOF {schema}.claimed_job
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
          AND j.lost >= 2
          AND (_queues IS NULL OR j.queue_name = ANY(_queues))
          AND (
              _rooms IS NULL OR (
                  coalesce((_rooms ->> ('queue:' || j.queue_name))::integer, 1) > 0
                  AND coalesce((_rooms ->> ('task:' || j.task_name))::integer, 1) > 0
              )
          )
        ORDER BY j.id
        LIMIT 1
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
