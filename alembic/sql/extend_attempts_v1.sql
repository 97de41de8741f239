-- Make the history's partitions up to the one for a job id, and those of the given ids, which somebody
-- may have inserted by hand far below; how many were made.
--
-- A partition is built aside and attached, because CREATE .. PARTITION OF locks out every reader and
-- writer of the parent, and an ack would wait behind one open report.
CREATE FUNCTION {schema}.extend_attempts_v1(_up_to bigint, _ids bigint[] DEFAULT '{}')
RETURNS integer
LANGUAGE plpgsql
SET search_path = {schema}, pg_catalog, pg_temp
SET lock_timeout = '5s'
AS $$
DECLARE
    _width CONSTANT bigint := 1000000;
    _low bigint;
    _made integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('{schema} attempts', 0));
    -- From the lowest job there is: an adopted table may begin anywhere.
    SELECT coalesce(
        max(substring(c.relname FROM 'attempts_([0-9]+)$')::bigint) + 1,
        (SELECT coalesce(min(j.id), 0) / _width FROM procrastinate_jobs AS j)
    ) * _width
    INTO _low
    FROM pg_inherits AS i
    JOIN pg_class AS c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'attempts'::regclass;
    FOR _low IN
        SELECT n * _width FROM generate_series(_low / _width, _up_to / _width) AS n
        UNION
        SELECT u.id / _width * _width FROM unnest(_ids) AS u (id)
        WHERE to_regclass(format('attempts_%s', u.id / _width)) IS NULL
        ORDER BY 1
    LOOP
        -- Rows never change: no room is left for it, and they are frozen at the first vacuum.
        EXECUTE format(
            'CREATE TABLE attempts_%s (
                LIKE attempts INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE
            ) WITH (
                autovacuum_vacuum_insert_scale_factor = 0,
                autovacuum_vacuum_insert_threshold = 200000, autovacuum_freeze_min_age = 0,
                autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 200000,
                vacuum_truncate = off
            )',
            _low / _width
        );
        EXECUTE format(
            'ALTER TABLE attempts ATTACH PARTITION attempts_%s FOR VALUES FROM (%s) TO (%s)',
            _low / _width, _low, _low + _width
        );
        _made := _made + 1;
    END LOOP;
    RETURN _made;
END $$
