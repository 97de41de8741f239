-- How many priority steps a job has gained that could have run since then.
CREATE FUNCTION {schema}.steps_v1(_since timestamptz, _ageing double precision)
RETURNS double precision
LANGUAGE sql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT greatest(floor(extract(epoch FROM clock_timestamp() - _since)::double precision / _ageing), 0)
$$
