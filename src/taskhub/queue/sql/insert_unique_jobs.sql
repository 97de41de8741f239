-- As insert_jobs, for jobs with unique keys: a row for each, in their order, with the id of its job and
-- whether that is a new one; or one row that says by which SQLSTATE and at which key all were refused.
--
-- The lock_timeout of the caller's session is told apart, since the function has its own.
-- Index: unique_keys_pkey.
SELECT u.id, u.is_new, u.refused_by, u.unique_key
FROM {schema}.defer_unique_v1(%(jobs)s::text, current_setting('lock_timeout')) AS u
