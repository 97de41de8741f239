-- Let nobody of the fleet do a chore for a while from now.
--
-- No row back: there is no such chore.
-- Index: upkeep_pkey.
UPDATE {schema}.upkeep AS u
SET last_at = now() + make_interval(secs => %(seconds)s::double precision)
WHERE u.name = %(name)s::text
RETURNING u.name
