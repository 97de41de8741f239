-- Write down what bucket_v1 said, less what was promised since, and when workers must look at the key
-- again: when the first waiting job will find its tokens, or NULL if something else is in its way.
--
-- A job that needs more than the bucket holds waits until it is full. Where the promised tokens alone
-- are in the way, because nobody comes for the jobs that have them, looks get rarer, up to one in 300 s:
-- whoever runs such a job looks at its end. Index: limit_states_pkey, jobs_limited.
CREATE FUNCTION {schema}.keep_bucket_v1(
    _name text,
    _rate double precision,
    _burst double precision,
    _tokens double precision,
    _ready double precision,
    _at timestamptz,
    _is_blocked boolean
) RETURNS void
LANGUAGE plpgsql
SET search_path = {schema}, pg_catalog, pg_temp
{planner}
AS $$
DECLARE
    _need double precision;
    _seconds double precision;
    _looks integer := 0;
BEGIN
    IF NOT _is_blocked THEN
        SELECT least(coalesce(j.tokens, 1), _burst) INTO _need
        FROM procrastinate_jobs AS j
        WHERE j.status = 'todo' AND j.gate = 3 AND j.limit_key = _name
        ORDER BY j.priority DESC, j.id
        LIMIT 1;
        IF _need > _burst - _ready THEN
            SELECT CASE WHEN s.reserved = _ready THEN s.idle_looks + 1 ELSE 0 END INTO _looks
            FROM limit_states AS s
            WHERE s.name = _name;
            _seconds := least(2.0 ^ least(_looks, 10), 300);
        ELSIF _need <= _tokens THEN
            _seconds := 1;  -- somebody's transaction holds its row
        ELSE
            _seconds := greatest((_need - _tokens) / _rate, 0.02);
        END IF;
    END IF;
    UPDATE limit_states AS s
    SET tokens = _tokens,
        reserved = _ready,
        filled_at = _at,
        wake_at = _at + make_interval(secs => _seconds),
        idle_looks = _looks
    WHERE s.name = _name;
END $$
