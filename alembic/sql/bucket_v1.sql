-- What the bucket of a key has to give now, and how many tokens of it are promised to jobs that have not
-- started; for whoever holds the key's advisory lock. A bucket that is not there yet is full.
--
-- Nothing is written, see keep_bucket_v1.
-- Indexes: limit_states_pkey, jobs_slots.
CREATE FUNCTION {schema}.bucket_v1(
    _name text,
    _rate double precision,
    _burst double precision,
    OUT tokens double precision,
    OUT ready double precision,
    OUT is_unpaid boolean,
    OUT at timestamptz
)
LANGUAGE plpgsql
SET search_path = {schema}, pg_catalog, pg_temp
{planner}
AS $$
DECLARE
    _state record;
    _started double precision;
    _last_start timestamptz;
    _late double precision := 0;
BEGIN
    at := clock_timestamp();
    SELECT s.tokens, s.reserved, s.filled_at INTO _state FROM limit_states AS s WHERE s.name = _name;
    IF _state.tokens IS NULL THEN
        _state.tokens := _burst;
        _state.reserved := 0;
        _state.filled_at := at;
    END IF;
    SELECT
        coalesce(sum(coalesce(j.tokens, 1)) FILTER (WHERE j.status::text = 'todo'), 0),
        coalesce(sum(coalesce(j.tokens, 1)) FILTER (
            WHERE j.status::text = 'doing' AND j.started_at >= _state.filled_at
        ), 0),
        max(j.started_at) FILTER (WHERE j.status::text = 'doing')
    INTO ready, _started, _last_start
    FROM procrastinate_jobs AS j
    WHERE j.limit_key = _name AND j.gate IN (0, 6) AND j.status IN ('todo', 'doing');
    IF _last_start >= _state.filled_at AND _started >= _state.reserved - ready THEN
        _late := greatest(extract(epoch FROM at - _last_start), 0);
    END IF;
    is_unpaid := ready > _state.reserved;
    tokens := refill_v1(
        _state.tokens, _state.reserved, ready,
        greatest(extract(epoch FROM at - _state.filled_at), 0), _late, _rate, _burst
    );
END $$
