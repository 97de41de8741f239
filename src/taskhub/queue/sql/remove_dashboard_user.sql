-- Remove a user of the dashboard; their sessions end with it.
--
-- No row back: there was none. Index: the primary key.
DELETE FROM {schema}.dashboard_users
WHERE name = %(name)s::text
RETURNING name
