-- Where a job that is to wait begins: 1 before its time, 2 behind its lock, 3 behind its limit, 6 until its
-- turn among the fair keys, else 0, ready.
--
-- The one place that says so, for jobs that come and for jobs that come back. No SET: it is inlined.
CREATE FUNCTION {schema}.gate_of_v1(
    _is_early boolean, _lock text, _limit_key text, _fair_key text
) RETURNS smallint
LANGUAGE sql
IMMUTABLE
AS $$
    SELECT CASE
        WHEN _is_early THEN 1
        WHEN _lock IS NOT NULL THEN 2
        WHEN _limit_key IS NOT NULL THEN 3
        WHEN _fair_key IS NOT NULL THEN 6
        ELSE 0
    END::smallint
$$
