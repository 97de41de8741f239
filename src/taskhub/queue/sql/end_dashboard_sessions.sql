-- Log a user out, in every browser.
--
-- No row back: there is no such user. Index: the primary key.
UPDATE {schema}.dashboard_users
SET sessions_from = clock_timestamp()
WHERE name = %(name)s::text
RETURNING name
