-- Who a session belongs to now, and whether the dashboard has users at all.
--
-- One row always; role is null where the user is gone or has logged out since. Index: the primary key.
SELECT
    EXISTS (SELECT 1 FROM {schema}.dashboard_users) AS has_users,
    (
        SELECT u.role
        FROM {schema}.dashboard_users AS u
        WHERE u.name = %(name)s::text
          AND extract(epoch FROM u.sessions_from)::double precision = %(sessions_from)s::double precision
    ) AS role
