-- How often somebody tried to log in lately without success, by key.
--
-- No row for a key that nobody tried. Index: dashboard_logins_key.
SELECT l.key, count(*) AS tries
FROM {schema}.dashboard_logins AS l
WHERE l.key = ANY(%(keys)s::text[])
  AND l.at >= now() - make_interval(secs => %(within_seconds)s::double precision)
GROUP BY l.key
