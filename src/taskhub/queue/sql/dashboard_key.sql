-- The key that the dashboard's cookies are signed with.
--
-- No row back: none was made yet. Index: none, there is one row.
SELECT k.key
FROM {schema}.dashboard_keys AS k
