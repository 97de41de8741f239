-- What is needed to check somebody's password.
--
-- No row back: there is no such user. Index: the primary key.
SELECT
    u.name,
    u.password_hash,
    u.role,
    u.created_at,
    extract(epoch FROM u.sessions_from)::double precision AS sessions_from
FROM {schema}.dashboard_users AS u
WHERE u.name = %(name)s::text
