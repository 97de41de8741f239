-- One round trip of a worker: store what has finished, look at what became ready, claim what fits.
--
-- Not one statement but several, each with a snapshot of its own (READ COMMITTED): parts of one WITH
-- share a snapshot and would lose the second change of a row. It holds only writes that cannot wait
-- for a user's transaction; what might is sent apart, see outcomes_v1.
--
-- Asks: _slots, how many jobs fit; _queues, NULL for all; the lanes that the worker knows, best
-- first, with the place to begin behind; _shares, how many of the slots each queue may take before the
-- others, whose turn is first in _queues, NULL for by priority; _ageing, see lanes_v1; _sweep, 0 no, 1 when the lanes did not fill the slots, 2 at once:
-- to look at every lane from its start, since ids commit out of order and jobs return with old ids;
-- _alone, a job that workers were lost with, and no other.
-- Gives: the claimed jobs, and last a row without id whose args say the rest as JSON.
CREATE FUNCTION {schema}.tick_v1(
    _worker_id bigint,
    _done_ids bigint[],
    _done_claims integer[],
    _done_extras text,
    _outcomes text,
    _slots integer,
    _queues varchar[],
    _lane_queues varchar[],
    _lane_priorities integer[],
    _lane_behind double precision[],
    _shares jsonb,
    _ageing double precision,
    _sweep integer,
    _alone boolean,
    _note_from bigint,
    _fair_from bigint,
    _due_from timestamptz,
    _notify boolean
) RETURNS SETOF {schema}.claimed_job
LANGUAGE plpgsql
SET search_path = {schema}, pg_catalog, pg_temp
SET lock_timeout = '5s'
{planner}
AS $$
DECLARE
    _stored bigint[];
    _locks text[];
    _limits text[];
    _slot_limits text[];
    _wins text[];
    _has_rules boolean := false;
    _ack record;
    _due_locks text[];
    _due_limits text[];
    _due_upto timestamptz;
    _note_locks text[];
    _note_limits text[];
    _rooms jsonb;
    _job claimed_job;
    _has_more boolean := false;
    _next_until double precision;
    _note_upto bigint;
    _fair record;
    _fair_upto bigint;
    _fair_has_more boolean;
    _lanes refcursor;
    _lane record;
    _is_aged boolean := _ageing > 0 AND cardinality(_lane_queues) > 1;
    _most integer;
    _moved varchar[];
    _left integer := _slots;
    _got integer;
    _began timestamptz;
    _sweep_began timestamptz;
    _looked double precision := 0;
    _swept double precision;
    _next_due double precision;
    _suspect boolean;
BEGIN
    IF _done_ids <> '{}' THEN
        SELECT a.stored, a.freed, a.slots INTO _stored, _locks, _limits
        FROM ack_v1(_worker_id, _done_ids, _done_claims, _done_extras) AS a;
        _wins := _limits;
    END IF;
    IF _outcomes IS NOT NULL THEN
        PERFORM note_trouble_v1(_worker_id, _outcomes);
        SELECT o.stored, o.freed, o.slots INTO _ack FROM outcomes_v1(_worker_id, _outcomes) AS o;
        _stored := _stored || _ack.stored;
        _locks := _locks || _ack.freed;
        _limits := _limits || _ack.slots;
    END IF;
    IF _slots > 0 THEN
        _began := clock_timestamp();
        -- Most looks find nothing: a probe takes a fifth of what it takes to call the function.
        PERFORM FROM procrastinate_jobs AS j
        WHERE j.status = 'todo' AND j.gate = 1
          AND coalesce(j.scheduled_at, '-infinity') >= _due_from
          AND coalesce(j.scheduled_at, '-infinity') <= now()
        ORDER BY coalesce(j.scheduled_at, '-infinity')
        LIMIT 1;
        IF FOUND THEN
            SELECT d.locks, d.limits, d.queues, d.upto INTO _due_locks, _due_limits, _moved, _due_upto
            FROM promote_due_v1(_due_from) AS d;
        END IF;
        PERFORM FROM lock_notes AS f WHERE f.id >= _note_from ORDER BY f.id LIMIT 1;
        IF FOUND THEN
            SELECT n.locks, n.limits, n.upto INTO _note_locks, _note_limits, _note_upto
            FROM take_notes_v1(_note_from) AS n;
        END IF;
        _locks := _locks || _due_locks || _note_locks;
        _limits := _limits || _due_limits || _note_limits;
        _looked := extract(epoch FROM clock_timestamp() - _began);
        -- Most tables have no rule: this probe is all that a limit or a pause costs elsewhere.
        PERFORM FROM rules LIMIT 1;
        _has_rules := FOUND;
        IF _has_rules THEN
            SELECT r.rooms, r.limits, r.next_seconds INTO _rooms, _slot_limits, _next_until
            FROM rooms_v1(_queues, _sweep) AS r;
            _limits := _limits || _slot_limits;
        END IF;
        PERFORM FROM unknown_tasks LIMIT 1;
        IF FOUND THEN
            _limits := _limits || release_known_v1(_worker_id, _queues, _slots);
        END IF;
    END IF;
    IF _locks IS NOT NULL THEN
        SELECT p.queues, p.limits INTO _ack FROM promote_locks_v1(_locks) AS p;
        _moved := _moved || _ack.queues;
        _limits := _limits || _ack.limits;
    END IF;
    IF _limits IS NOT NULL THEN
        _moved := _moved || promote_limits_v1(_limits, _wins);
    END IF;
    IF _slots > 0 THEN
        -- This probe is all that fair keys cost where there are none.
        PERFORM FROM fair_lanes UNION ALL SELECT FROM fair_notes LIMIT 1;
        IF FOUND THEN
            _began := clock_timestamp();
            SELECT s.queues, s.has_more, s.upto INTO _fair
            FROM share_turns_v1(_queues, _slots, _fair_from) AS s;
            _moved := _moved || _fair.queues;
            _fair_upto := _fair.upto;
            _fair_has_more := _fair.has_more;
            _looked := _looked + extract(epoch FROM clock_timestamp() - _began);
        END IF;
    END IF;

    IF _alone THEN
        RETURN QUERY SELECT * FROM claim_suspect_v1(_worker_id, _queues, _rooms);
        _left := 0;
    END IF;
    -- The lanes that the worker knows, then all lanes, each time by the shares of the queues first.
    FOR _step IN 1 .. 4 LOOP
        EXIT WHEN _left <= 0;
        CONTINUE WHEN _step IN (1, 3) AND _shares IS NULL;
        CONTINUE WHEN CASE WHEN _step <= 2 THEN _sweep = 2 ELSE _sweep = 0 END;
        IF _step = 2 AND _shares IS NULL AND NOT _is_aged THEN
            -- In the order in which they were told: half the cost of the next one, which gives the same.
            OPEN _lanes FOR
            SELECT h.queue_name, h.priority, (-1)::double precision AS behind
            FROM (
                SELECT l.queue_name, max(l.priority) AS top
                FROM unnest(_lane_queues, _lane_priorities) AS l (queue_name, priority)
                GROUP BY l.queue_name
            ) AS known
            CROSS JOIN LATERAL (
                SELECT j.queue_name, j.priority
                FROM procrastinate_jobs AS j
                WHERE j.status = 'todo' AND j.gate = 0 AND j.queue_name = known.queue_name
                  AND j.priority > known.top
                ORDER BY j.priority DESC
                LIMIT 1
            ) AS h
            UNION ALL
            SELECT u.queue_name, u.priority, u.behind
            FROM unnest(_lane_queues, _lane_priorities, _lane_behind)
                AS u (queue_name, priority, behind);
        ELSIF _step <= 2 THEN
            OPEN _lanes FOR
            SELECT l.queue_name, l.priority, l.behind
            FROM (
                SELECT h.queue_name, h.priority, (-1)::double precision AS behind, 0::bigint AS nth
                FROM (
                    SELECT l.queue_name, max(l.priority) AS top
                    FROM unnest(_lane_queues, _lane_priorities) AS l (queue_name, priority)
                    GROUP BY l.queue_name
                    UNION ALL
                    SELECT q.name, -2147483648
                    FROM unnest(_queues) AS q (name)
                    WHERE _shares IS NOT NULL AND q.name <> ALL (_lane_queues)
                ) AS known
                CROSS JOIN LATERAL (
                    SELECT j.queue_name, j.priority
                    FROM procrastinate_jobs AS j
                    WHERE j.status = 'todo' AND j.gate = 0 AND j.queue_name = known.queue_name
                      AND j.priority > known.top
                    ORDER BY j.priority DESC
                    LIMIT 1
                ) AS h
                UNION ALL
                SELECT u.queue_name, u.priority, u.behind, u.nth
                FROM unnest(_lane_queues, _lane_priorities, _lane_behind)
                    WITH ORDINALITY AS u (queue_name, priority, behind, nth)
            ) AS l
            LEFT JOIN LATERAL (
                SELECT steps_v1(greatest(j.deferred_at, j.scheduled_at), _ageing) AS steps
                FROM procrastinate_jobs AS j
                WHERE _is_aged
                  AND j.status = 'todo' AND j.gate = 0 AND j.queue_name = l.queue_name
                  AND j.priority = l.priority AND coalesce(j.place, j.id) > l.behind
                ORDER BY coalesce(j.place, j.id)
                LIMIT 1
            ) AS head ON true
            ORDER BY
                CASE WHEN _shares IS NOT NULL THEN array_position(_queues, l.queue_name) END,
                CASE WHEN _is_aged THEN l.priority + coalesce(head.steps, 0) END DESC,
                CASE WHEN _is_aged THEN l.priority END DESC,
                l.nth;
        ELSE
            _began := coalesce(_sweep_began, clock_timestamp());
            _sweep_began := _began;
            OPEN _lanes FOR
            SELECT l.queue_name, l.priority, (-1)::double precision AS behind
            FROM lanes_v1(_queues, _ageing) WITH ORDINALITY AS l (queue_name, priority, first_id, nth)
            ORDER BY CASE WHEN _shares IS NOT NULL THEN array_position(_queues, l.queue_name) END, l.nth;
        END IF;
        LOOP
            FETCH _lanes INTO _lane;
            EXIT WHEN NOT FOUND OR _left <= 0;
            _most := _left;
            IF _step IN (1, 3) THEN
                _most := least(_left, (_shares ->> _lane.queue_name)::integer);
                CONTINUE WHEN _most = 0;
            END IF;
            _got := 0;
            IF _rooms IS NULL THEN
                RETURN QUERY SELECT * FROM claim_lane_v1(
                    _worker_id, _lane.queue_name, _lane.priority, _lane.behind, _most
                );
                GET DIAGNOSTICS _got = ROW_COUNT;
            ELSE
                FOR _job IN SELECT * FROM claim_ruled_v1(
                    _worker_id, _lane.queue_name, _lane.priority, _lane.behind, _most, _rooms
                ) LOOP
                    IF _job.id IS NULL THEN
                        _rooms := _job.args;
                        _has_more := _has_more OR _job.attempts > 0;
                    ELSE
                        RETURN NEXT _job;
                        _got := _got + 1;
                    END IF;
                END LOOP;
            END IF;
            _left := _left - _got;
            IF _shares IS NOT NULL THEN
                _shares := _shares || jsonb_build_object(
                    _lane.queue_name, greatest((_shares ->> _lane.queue_name)::integer - _got, 0)
                );
            END IF;
        END LOOP;
        CLOSE _lanes;
    END LOOP;
    IF _left > 0 AND _sweep > 0 THEN
        SELECT true INTO _suspect
        FROM procrastinate_jobs AS j
        WHERE j.status = 'todo' AND j.gate = 0 AND j.lost >= 2
          AND (_queues IS NULL OR j.queue_name = ANY(_queues))
          AND (
              _rooms IS NULL OR (
                  coalesce((_rooms ->> ('queue:' || j.queue_name))::integer, 1) > 0
                  AND coalesce((_rooms ->> ('task:' || j.task_name))::integer, 1) > 0
              )
          )
        LIMIT 1;
        _swept := extract(epoch FROM clock_timestamp() - _sweep_began);
    END IF;
    IF _has_rules AND _limits IS NOT NULL THEN
        PERFORM note_starts_v1(_limits);
    END IF;
    IF _left > 0 AND _has_rules THEN
        -- The keys whose tokens or breakers say when; see keep_bucket_v1.
        SELECT least(
            _next_until, greatest(extract(epoch FROM min(s.wake_at) - clock_timestamp()), 0.02)
        )
        INTO _next_until
        FROM limit_states AS s
        WHERE s.wake_at >= now() - interval '1 minute';
    END IF;
    IF _left > 0 THEN
        SELECT extract(epoch FROM j.scheduled_at - clock_timestamp()) INTO _next_due
        FROM procrastinate_jobs AS j
        WHERE j.status = 'todo' AND j.gate = 1
          AND coalesce(j.scheduled_at, '-infinity') >= _due_from
        ORDER BY coalesce(j.scheduled_at, '-infinity')
        LIMIT 1;
        _next_due := least(_next_due, _next_until);
    END IF;

    -- What became ready and does not fit here may fit elsewhere.
    IF _notify AND _moved IS NOT NULL THEN
        PERFORM pg_notify('{schema}', m.queue_name)
        FROM (SELECT DISTINCT u.queue_name FROM unnest(_moved) AS u (queue_name)) AS m
        WHERE _left <= 0 OR NOT (m.queue_name = ANY(_queues));
    END IF;
    RETURN NEXT ROW(
        NULL, NULL, NULL, NULL, NULL, NULL,
        json_build_object(
            'stored', cardinality(_stored), 'stored_ids', CASE
                WHEN _outcomes IS NOT NULL
                OR cardinality(coalesce(_stored, '{}')) < cardinality(_done_ids) THEN _stored
            END,
            'note_upto', _note_upto, 'fair_upto', _fair_upto, 'due_upto', _due_upto, 'next_due_seconds', _next_due,
            'has_more', _has_more OR (_left > 0 AND coalesce(_fair_has_more, false)), 'looked_seconds', _looked, 'swept_seconds', _swept, 'suspect', _suspect
        )::text,
        NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
    )::claimed_job;
END $$
