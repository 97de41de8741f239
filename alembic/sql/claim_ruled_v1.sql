-- As claim_lane_v1, where queues or tasks have rules: never more than `_rooms` (see rooms_v1) allow.
--
-- A queue without room is not looked at. A job whose task has none is set aside (gate 5) as it comes
-- up at the front, so the next claim does not meet it again; a key whose slot it gives up is noted.
-- About 2,000 a call are: last comes a row without id, whose args are the rooms that are left and
-- whose attempts are above 0 if there may be more behind what was set aside.
-- One statement decides and writes, so what commits meanwhile is not claimed unseen.
-- Index: jobs_ready.
CREATE FUNCTION {schema}.claim_ruled_v1(
    _worker_id bigint, _queue varchar, _priority integer, _from double precision, _slots integer, _rooms jsonb
) RETURNS SETOF {schema}.claimed_job
LANGUAGE plpgsql
SET search_path = {schema}, pg_catalog, pg_temp
{planner}
AS $$
DECLARE
    _room integer := (_rooms ->> ('queue:' || _queue))::integer;
    _left integer := least(_slots, _room);
    _look integer := _left;
    _parked integer := 0;
    _has_more boolean := false;
    _was_parked integer;
    _row record;
    _limits text[];
BEGIN
    WHILE _left > 0 AND _parked < 2000 LOOP
        _was_parked := _parked;
        FOR _row IN
            WITH chosen AS MATERIALIZED (
                SELECT j.ctid AS row, coalesce(j.place, j.id) AS place, j.task_name
                FROM procrastinate_jobs AS j
                WHERE j.status = 'todo'
                  AND j.gate = 0
                  AND j.queue_name = _queue
                  AND j.priority = _priority
                  AND coalesce(j.place, j.id) > _from
                  AND j.lost < 2
                ORDER BY coalesce(j.place, j.id)
                LIMIT _look
                FOR UPDATE SKIP LOCKED
            ), fitting AS MATERIALIZED (
                SELECT
                    c.row, c.place,
                    row_number() OVER (PARTITION BY c.task_name ORDER BY c.place)
                    <= coalesce((_rooms ->> ('task:' || c.task_name))::bigint, 2147483647) AS fits
                FROM chosen AS c
            ), placed AS MATERIALIZED (
                SELECT
                    f.row, f.fits, count(*) FILTER (WHERE f.fits) OVER (ORDER BY f.place) AS nth
                FROM fitting AS f
            )
            UPDATE procrastinate_jobs AS j
            SET status = CASE WHEN placed.fits THEN 'doing' ELSE 'todo' END::procrastinate_job_status,
                gate = CASE WHEN placed.fits THEN 0 ELSE 5 END,
                worker_id = CASE WHEN placed.fits THEN _worker_id ELSE j.worker_id END,
                claim = j.claim + placed.fits::integer,
                started_at = CASE WHEN placed.fits THEN clock_timestamp() ELSE j.started_at END,
                finished_at = NULL
            FROM placed
            WHERE j.ctid = placed.row AND (NOT placed.fits OR placed.nth <= _left)
            RETURNING
                placed.fits, j.limit_key, j.fair_key, ROW(
                    j.id, j.queue_name, j.task_name, j.priority, j.lock, j.queueing_lock, j.args::text,
                    j.attempts, j.claim, j.lost, j.scheduled_at, j.version,
                    j.expires_at <= clock_timestamp(), coalesce(j.place, j.id),
                    extract(epoch FROM clock_timestamp() - greatest(j.deferred_at, j.scheduled_at))::double precision,
                    j.trace
                )::claimed_job AS job
        LOOP
            IF _row.fits THEN
                RETURN NEXT _row.job;
                _left := _left - 1;
                _rooms := taken_v1(taken_v1(_rooms, 'queue:' || _queue), 'task:' || (_row.job).task_name);
            ELSE
                _parked := _parked + 1;
                _has_more := _has_more OR _row.fair_key IS NOT NULL;
                IF _row.limit_key IS NOT NULL THEN
                    _limits := _limits || _row.limit_key;
                END IF;
            END IF;
        END LOOP;
        EXIT WHEN _parked = _was_parked;
        _look := least(greatest(_left, _look * 2), 500);
    END LOOP;
    IF _limits IS NOT NULL THEN
        INSERT INTO lock_notes (lock, is_limit) SELECT DISTINCT u.name, true FROM unnest(_limits) AS u (name);
    END IF;
    RETURN NEXT ROW(
        NULL, NULL, NULL, NULL, NULL, NULL, _rooms::text,
        (_left > 0 AND (_parked >= 2000 OR _limits IS NOT NULL OR _has_more))::integer, NULL, NULL, NULL,
        NULL, NULL, NULL, NULL, NULL
    )::claimed_job;
END $$
