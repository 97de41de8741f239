-- The rooms of rooms_v1 after one more claim under this name; a name without a number stays as it is.
CREATE FUNCTION {schema}.taken_v1(_rooms jsonb, _name text) RETURNS jsonb
LANGUAGE sql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE
        WHEN _rooms ->> _name IS NULL THEN _rooms
        ELSE _rooms || jsonb_build_object(_name, (_rooms ->> _name)::integer - 1)
    END
$$
