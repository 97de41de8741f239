-- Forget the tries of somebody who has logged in.
--
-- One row for each. Index: dashboard_logins_key.
DELETE FROM {schema}.dashboard_logins
WHERE key = ANY(%(keys)s::text[])
RETURNING key
