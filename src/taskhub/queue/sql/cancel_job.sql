-- Cancel a job that waits; leave a request with one that runs. The reason is kept with either.
--
-- No row back: it has ended, or there is none. A worker that takes the job meanwhile makes the
-- function wait and then find it running.
-- Index: procrastinate_jobs_pkey.
SELECT c.id, c.queue_name, c.status
FROM {schema}.cancel_v1(%(job_id)s::bigint, %(reason)s::text) AS c
WHERE c.id IS NOT NULL
