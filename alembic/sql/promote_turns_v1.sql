-- Let up to `_most` jobs of one lane, a queue and a priority, that wait for their turns be ready, in the
-- order of the turns. Only under the advisory lock of the queue. How many; `has_more`: there are keys that
-- were not looked at.
--
-- Start-time fair queueing. A key's turn is where its next job starts; each job moves it on by 1 / weight.
-- The lane's turn is the last start that was given; a key that was idle starts there. A key is forgotten
-- when its turn comes and it has no job, not before: else one that defers a job at a time would never wait.
-- Each pass draws from the keys of the next turns what they may start before the turns they reach together.
-- Jobs without a key are ready already. They count as one key of weight 1: one of them goes by in each
-- whole turn, which is what `place` is for: where a job stands in its lane, instead of its id.
-- Indexes: fair_keys_turn, fair_weights_pkey, jobs_fair, jobs_ready. A key is then found by its place in the
-- table, which nobody else changes under the lock: joined by name, all keys of a lane were read. Rows that
-- others hold are passed over.
CREATE FUNCTION {schema}.promote_turns_v1(
    _queue varchar, _priority integer, _most integer, OUT moved integer, OUT has_more boolean
)
LANGUAGE plpgsql
SET search_path = {schema}, pg_catalog, pg_temp
{planner}
AS $$
DECLARE
    -- So fine that millions of jobs stand between one id and the next, and exact up to ids of 2^30.
    STEP CONSTANT double precision := 2.0 ^ -22;
    _turn double precision;
    _began double precision;
    _place double precision;
    _last double precision;
    _front double precision[];
    _rows integer;
    _has_weights boolean;
    _has_asked boolean;
    _idle tid[];
BEGIN
    moved := 0;
    PERFORM FROM fair_weights AS w WHERE w.queue_name = _queue LIMIT 1;
    _has_weights := FOUND;
    SELECT l.turn, l.place INTO _turn, _place
    FROM fair_lanes AS l
    WHERE l.queue_name = _queue AND l.priority = _priority;
    _began := floor(_turn);
    SELECT s.last_value INTO _last FROM procrastinate_jobs_id_seq AS s;
    -- The next jobs without a key; whatever has a place stands before them.
    _front := ARRAY(
        SELECT coalesce(j.place, j.id)
        FROM procrastinate_jobs AS j
        WHERE j.status = 'todo' AND j.gate = 0 AND j.queue_name = _queue AND j.priority = _priority
          AND coalesce(j.place, j.id) > _place
        ORDER BY coalesce(j.place, j.id)
        LIMIT _most + 1
    );
    FOR _pass IN 1 .. 8 LOOP
        WITH asked AS MATERIALIZED (
            SELECT
                k.key, k.fair_key, k.turn, k.weight,
                least(ceil((k.upto - k.turn) * k.weight), _most - moved)::integer AS jobs
            FROM (
                SELECT
                    n.key, n.fair_key, n.turn, n.weight,
                    min(n.turn) OVER () + (_most - moved) / sum(n.weight) OVER () AS upto
                FROM (
                    SELECT
                        f.ctid AS key, f.fair_key, greatest(f.turn, _turn) AS turn,
                        coalesce(CASE WHEN _has_weights THEN (
                            SELECT w.weight FROM fair_weights AS w
                            WHERE w.queue_name = _queue AND w.fair_key = f.fair_key
                        ) END, 1)::double precision AS weight
                    FROM fair_keys AS f
                    WHERE f.queue_name = _queue AND f.priority = _priority AND f.turn > '-infinity'
                    ORDER BY f.turn
                    LIMIT _most - moved
                ) AS n
            ) AS k
            WHERE k.turn < k.upto
        ), chosen AS MATERIALIZED (
            SELECT
                o.place, o.key, o.start, o.next,
                row_number() OVER (ORDER BY o.start, o.id) AS nth
            FROM (
                SELECT
                    j.place, j.id, a.key, a.turn + (j.nth - 1) / a.weight AS start,
                    a.turn + j.nth / a.weight AS next
                FROM asked AS a
                CROSS JOIN LATERAL (
                    SELECT h.place, h.id, row_number() OVER () AS nth
                    FROM (
                        SELECT job.ctid AS place, job.id
                        FROM procrastinate_jobs AS job
                        WHERE job.status = 'todo' AND job.gate = 6 AND job.queue_name = _queue
                          AND job.priority = _priority AND job.fair_key = a.fair_key
                        ORDER BY job.id
                        LIMIT a.jobs
                        FOR UPDATE SKIP LOCKED
                    ) AS h
                ) AS j
                ORDER BY start, j.id
                LIMIT _most - moved
            ) AS o
        ), placed AS (
            UPDATE procrastinate_jobs AS j
            SET gate = 0,
                place = greatest(
                    coalesce(_front[1 + (floor(c.start) - _began)::integer] - 1, _last), _place
                ) + c.nth * STEP
            FROM chosen AS c
            WHERE j.ctid = c.place
            RETURNING j.place, c.start
        ), gave AS (
            UPDATE fair_keys AS k
            SET turn = g.next
            FROM (SELECT c.key, max(c.next) AS next FROM chosen AS c GROUP BY c.key) AS g
            WHERE k.ctid = g.key
        )
        SELECT
            count(*), greatest(max(p.start), _turn), greatest(max(p.place), _place),
            EXISTS (SELECT FROM asked),
            ARRAY(SELECT a.key FROM asked AS a WHERE a.key NOT IN (SELECT c.key FROM chosen AS c))
        INTO _rows, _turn, _place, _has_asked, _idle
        FROM placed AS p;
        moved := moved + _rows;
        has_more := _has_asked AND moved < _most;
        EXIT WHEN NOT has_more;
        CONTINUE WHEN _idle = '{}';
        has_more := forget_turns_v1(_queue, _priority, _idle) OR _rows > 0;
        EXIT WHEN NOT has_more;
    END LOOP;
    IF moved > 0 THEN
        UPDATE fair_lanes AS l
        SET turn = _turn, place = _place
        WHERE l.queue_name = _queue AND l.priority = _priority;
    END IF;
END $$
