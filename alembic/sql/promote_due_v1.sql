-- Let future jobs whose time has come be ready, or stand behind their locks and limits; 500 a call at most.
--
-- `locks` and `limits` must be looked at next; `upto` is the latest time that was met: the next call may begin
-- there. That is a hint, which spares walking over dead index entries while somebody holds an old
-- snapshot; now and then a call must begin at -infinity, for what is committed late.
-- A date that somebody took away by hand counts as past. Index: jobs_due. Rows that another worker is moving are skipped.
CREATE FUNCTION {schema}.promote_due_v1(
    _from timestamptz,
    OUT locks text[],
    OUT limits text[],
    OUT queues varchar[],
    OUT upto timestamptz
)
LANGUAGE plpgsql
SET search_path = {schema}, pg_catalog, pg_temp
{planner}
AS $$
BEGIN
    -- Most looks find nothing: a probe takes a tenth of what it takes to begin the update.
    PERFORM FROM procrastinate_jobs AS j
    WHERE j.status = 'todo'
      AND j.gate = 1
      AND coalesce(j.scheduled_at, '-infinity') >= _from
      AND coalesce(j.scheduled_at, '-infinity') <= now()
    ORDER BY coalesce(j.scheduled_at, '-infinity')
    LIMIT 1;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    WITH due AS MATERIALIZED (
        SELECT j.ctid AS place
        FROM procrastinate_jobs AS j
        WHERE j.status = 'todo'
          AND j.gate = 1
          AND coalesce(j.scheduled_at, '-infinity') >= _from
          AND coalesce(j.scheduled_at, '-infinity') <= now()
        ORDER BY coalesce(j.scheduled_at, '-infinity')
        LIMIT 500
        FOR UPDATE SKIP LOCKED
    ), moved AS (
        UPDATE procrastinate_jobs AS j
        SET gate = gate_of_v1(false, j.lock, j.limit_key, j.fair_key)
        FROM due
        WHERE j.ctid = due.place
        RETURNING
            j.lock, j.limit_key, j.gate, j.queue_name, j.scheduled_at, j.priority, j.fair_key
    ), noted AS (
        INSERT INTO fair_notes (queue_name, priority, fair_key)
        SELECT DISTINCT moved.queue_name, moved.priority, moved.fair_key FROM moved WHERE moved.gate = 6
    )
    SELECT
        array_agg(DISTINCT moved.lock) FILTER (WHERE moved.lock IS NOT NULL),
        array_agg(DISTINCT moved.limit_key) FILTER (WHERE moved.gate = 3),
        array_agg(DISTINCT moved.queue_name),
        max(moved.scheduled_at)
    INTO locks, limits, queues, upto
    FROM moved;
END $$
