-- The tokens that a bucket has to give now, from what it had `_seconds` ago.
--
-- `_tokens` could be given then, `_reserved` were promised to jobs that had not started; `_ready` are
-- promised and not started now. The bucket never holds more than `_burst`, promised ones included, and a
-- token leaves it when its job starts: so no window sees more of them start than burst + rate * seconds,
-- however long a job was ready before a worker came. When jobs started is known where `_late` is above
-- 0: the last of them that long ago. Else they count as started now, which gives less, never more.
CREATE FUNCTION {schema}.refill_v1(
    _tokens double precision,
    _reserved double precision,
    _ready double precision,
    _seconds double precision,
    _late double precision,
    _rate double precision,
    _burst double precision
) RETURNS double precision
LANGUAGE sql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT least(
        _burst,
        least(_burst, _tokens + _reserved + _rate * (_seconds - _late))
        - greatest(_reserved - _ready, 0) + _rate * _late
    ) - _ready
$$
