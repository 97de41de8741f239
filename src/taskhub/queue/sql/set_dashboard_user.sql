-- Add a user, or give one another password and role, which ends the sessions they had.
--
-- One row always: whether the user is new. Two at once: the later one counts. Index: the primary key.
INSERT INTO {schema}.dashboard_users AS u (name, password_hash, role)
VALUES (%(name)s::text, %(password_hash)s::text, %(role)s::text)
ON CONFLICT (name) DO UPDATE
SET password_hash = excluded.password_hash,
    role = excluded.role,
    sessions_from = clock_timestamp()
RETURNING u.xmax = 0 AS is_new
