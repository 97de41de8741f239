-- Keep a small window of ready jobs in each lane with fair keys, drawn in the order of their turns.
--
-- A window below `_slots` jobs is filled up to twice as many: fewer would leave a claim unfilled, more
-- would come before whoever defers next. `queues` have more ready jobs now; `has_more`: there is more to
-- do, or somebody else is doing it; `upto` as in note_turns_v1.
-- Jobs of a queue are drawn under its advisory lock, by one worker at a time; who finds it taken takes
-- what is ready. The window is counted again under the lock: it sees what whoever had it has committed.
-- Indexes: fair_lanes_pkey, fair_keys_turn, jobs_window.
CREATE FUNCTION {schema}.share_turns_v1(
    _queues varchar[], _slots integer, _from bigint,
    OUT queues varchar[], OUT has_more boolean, OUT upto bigint
)
LANGUAGE plpgsql
SET search_path = {schema}, pg_catalog, pg_temp
{planner}
AS $$
DECLARE
    _lane record;
    _ready integer;
    _drawn record;
BEGIN
    has_more := false;
    PERFORM FROM fair_notes AS n WHERE n.id >= _from ORDER BY n.id LIMIT 1;
    IF FOUND THEN
        upto := note_turns_v1(_from);
    END IF;
    FOR _lane IN
        SELECT l.queue_name, l.priority
        FROM fair_lanes AS l
        WHERE _queues IS NULL OR l.queue_name = ANY(_queues)
        ORDER BY l.queue_name, l.priority
    LOOP
        PERFORM FROM fair_keys AS k
        WHERE k.queue_name = _lane.queue_name AND k.priority = _lane.priority
        LIMIT 1;
        CONTINUE WHEN NOT FOUND;
        FOR _look IN 1 .. 2 LOOP
            SELECT count(*) INTO _ready
            FROM procrastinate_jobs AS j
            WHERE j.status = 'todo' AND j.gate = 0 AND j.place IS NOT NULL
              AND j.queue_name = _lane.queue_name AND j.priority = _lane.priority;
            EXIT WHEN _ready >= _slots;
            IF _look = 1 THEN
                IF NOT pg_try_advisory_xact_lock(hashtextextended('{schema}:fair:' || _lane.queue_name, 7)) THEN
                    has_more := true;
                    EXIT;
                END IF;
            ELSE
                SELECT p.moved, p.has_more INTO _drawn
                FROM promote_turns_v1(_lane.queue_name, _lane.priority, 2 * _slots - _ready) AS p;
                has_more := has_more OR _drawn.has_more;
                IF _drawn.moved > 0 THEN
                    queues := queues || _lane.queue_name;
                END IF;
            END IF;
        END LOOP;
    END LOOP;
END $$
