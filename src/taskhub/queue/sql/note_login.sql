-- Note that somebody tries to log in, before their password is looked at; the old notes go.
--
-- One row for each key. In a race every try is noted before any is counted. Index: dashboard_logins_key.
WITH old AS (
    DELETE FROM {schema}.dashboard_logins
    WHERE at < now() - make_interval(secs => %(kept_seconds)s::double precision)
)
INSERT INTO {schema}.dashboard_logins (key)
SELECT unnest(%(keys)s::text[])
RETURNING key
