-- The next jobs below an id of which an argument with this value is kept, newest first.
--
-- Index: job_args_value.
SELECT a.job_id AS id
FROM {schema}.job_args AS a
WHERE a.name = %(name)s::text
  AND a.value = %(value)s::text
  AND a.job_id < %(before_id)s::bigint
ORDER BY a.job_id DESC
LIMIT %(limit)s::integer
