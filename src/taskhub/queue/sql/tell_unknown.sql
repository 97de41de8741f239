-- Tasks that nobody has known for too long and that are to be told of now; see tell_unknown_v1.
--
-- No row back: there is none, or another worker tells.
SELECT u.task_name, u.version, u.since, u.job_id, u.queue_name, u.jobs
FROM {schema}.tell_unknown_v1(%(grace_seconds)s::double precision) AS u
