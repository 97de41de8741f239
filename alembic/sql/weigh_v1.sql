-- Let a fair key of a queue have a share of this weight from its next turn on; 1 is what a key has that
-- nothing was said of. Index: fair_weights_pkey.
CREATE FUNCTION {schema}.weigh_v1(_queue varchar, _key text, _weight integer) RETURNS void
LANGUAGE plpgsql
SET search_path = {schema}, pg_catalog, pg_temp
AS $$
BEGIN
    IF _weight = 1 THEN
        DELETE FROM fair_weights AS w WHERE w.queue_name = _queue AND w.fair_key = _key;
    ELSE
        INSERT INTO fair_weights AS w (queue_name, fair_key, weight)
        VALUES (_queue, _key, _weight)
        ON CONFLICT (queue_name, fair_key) DO UPDATE SET weight = excluded.weight;
    END IF;
END $$
