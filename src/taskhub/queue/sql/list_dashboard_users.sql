-- The users of the dashboard, by name.
--
-- Index: the primary key.
SELECT u.name, u.role, u.created_at
FROM {schema}.dashboard_users AS u
ORDER BY u.name
LIMIT 1000
