-- How many jobs of each queue and task with a rule may be claimed now; jobs that were held back for a
-- task which has room again may go on.
--
-- `rooms` is an object of "queue:NAME" or "task:NAME": 0 full or paused, null released, NULL for no such
-- rule. `limits` must be looked at next: keys whose pause is over, whose tokens are there, or whose jobs
-- go on; `next_seconds` is the time to the end of the next pause.
-- Claims of a limited queue or task are counted and made under its advisory lock, which only ticks
-- and rule_v1 take, in the order of the names, so the wait is short and never circular. The count is
-- a statement of its own: it sees what whoever had the lock has committed.
-- A key that is due is left to whoever has its advisory lock already. Between two sweeps the look for such
-- keys begins a minute ago, which spares walking over dead index entries while somebody holds an old
-- snapshot.
-- Indexes: rules_lanes, rules_until, jobs_running, limit_states_wake.
CREATE FUNCTION {schema}.rooms_v1(
    _queues varchar[],
    _sweep integer,
    OUT rooms jsonb,
    OUT limits text[],
    OUT next_seconds double precision
)
LANGUAGE plpgsql
SET search_path = {schema}, pg_catalog, pg_temp
{planner}
AS $$
DECLARE
    -- A variable: no index is asked for what a volatile function gives.
    _now timestamptz := clock_timestamp();
    _counts jsonb := '{}';
    _task text;
BEGIN
    IF EXISTS (SELECT FROM rules AS r WHERE r.paused_until <= _now) THEN
        WITH ended AS (
            UPDATE rules AS r
            SET paused_at = NULL, paused_until = NULL, reason = NULL
            WHERE r.name = ANY(ARRAY(
                SELECT o.name FROM rules AS o
                WHERE o.paused_until <= _now
                ORDER BY o.paused_until
                LIMIT 500
                FOR UPDATE SKIP LOCKED
            ))
            RETURNING r.name, r.kind
        )
        SELECT array_agg(ended.name) INTO limits FROM ended WHERE ended.kind = 'key';
    END IF;
    SELECT extract(epoch FROM min(r.paused_until) - _now) INTO next_seconds
    FROM rules AS r
    WHERE r.paused_until IS NOT NULL;
    PERFORM pg_advisory_xact_lock(hashtextextended('{schema}:limit:' || o.name, 7))
    FROM (
        SELECT r.name
        FROM rules AS r
        WHERE r.kind <> 'key' AND r.at_most IS NOT NULL AND r.paused_at IS NULL
          AND (r.kind = 'task' OR _queues IS NULL OR substr(r.name, 7) = ANY(_queues))
        ORDER BY r.name
    ) AS o;
    IF FOUND THEN
        WITH running AS MATERIALIZED (
            SELECT j.queue_name, j.task_name, count(*) AS jobs
            FROM procrastinate_jobs AS j
            WHERE j.status = 'doing'
            GROUP BY j.queue_name, j.task_name
        ), named AS (
            SELECT 'queue:' || running.queue_name AS name, sum(running.jobs) AS jobs
            FROM running GROUP BY running.queue_name
            UNION ALL
            SELECT 'task:' || running.task_name, sum(running.jobs)
            FROM running GROUP BY running.task_name
        )
        SELECT coalesce(jsonb_object_agg(named.name, named.jobs), '{}') INTO _counts FROM named;
    END IF;
    SELECT jsonb_object_agg(r.name, CASE
        WHEN r.paused_at IS NOT NULL THEN 0
        WHEN r.at_most IS NULL THEN NULL  -- greatest() passes over a null
        ELSE greatest(r.at_most - coalesce((_counts ->> r.name)::integer, 0), 0)
    END)
    INTO rooms
    FROM rules AS r
    WHERE r.kind <> 'key' AND (r.paused_at IS NOT NULL OR r.at_most IS NOT NULL OR r.kind = 'task');
    FOR _task IN
        SELECT substr(o.name, 6) FROM jsonb_each_text(rooms) AS o (name, room)
        WHERE o.name LIKE 'task:%' AND coalesce(o.room::integer, 1) > 0
    LOOP
        limits := limits || unpark_v1(_task, _queues, (rooms ->> ('task:' || _task))::integer);
    END LOOP;
    limits := limits || nullif(ARRAY(
        SELECT d.name
        FROM (
            SELECT s.name FROM limit_states AS s
            WHERE s.wake_at <= _now
              AND s.wake_at >= CASE
                  WHEN _sweep = 2 THEN '-infinity' ELSE _now - interval '1 minute'
              END
            ORDER BY s.wake_at
            LIMIT CASE WHEN _sweep = 2 THEN 500 ELSE 100 END
        ) AS d
        WHERE pg_try_advisory_xact_lock(hashtextextended('{schema}:limit:' || d.name, 7))
    ), '{}');
END $$
