-- Which of these running jobs somebody asked to stop, and why.
--
-- A request counts for one claim: a later run of the job is not asked. No row back: none is.
-- Index: cancel_requests_job_id.
SELECT c.job_id, c.claim, c.reason
FROM {schema}.cancel_requests AS c
WHERE c.job_id = ANY(%(job_ids)s::bigint[])
