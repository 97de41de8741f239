-- Make the key that the dashboard's cookies are signed with.
--
-- No row back: somebody else made it first. Index: dashboard_keys_one_row.
INSERT INTO {schema}.dashboard_keys (key)
VALUES (%(key)s::text)
ON CONFLICT DO NOTHING
RETURNING key
