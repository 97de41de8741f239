-- Take a chore that one worker of the fleet does once in a while.
--
-- No row back: it was done less than every_seconds ago. Two workers at once: the second waits for the
-- first's row and then no longer matches.
-- Index: upkeep_pkey.
UPDATE {schema}.upkeep AS u
SET last_at = now()
WHERE u.name = %(name)s::text
  AND u.last_at < now() - make_interval(secs => %(every_seconds)s::double precision)
RETURNING u.name
