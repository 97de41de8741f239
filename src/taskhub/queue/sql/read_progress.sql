-- How far a job is, or was when it ended.
--
-- No row back: it has not said so.
-- Index: progress_pkey.
SELECT p.done, p.out_of, p.note, p.attempt, p.at
FROM {schema}.progress AS p
WHERE p.job_id = %(job_id)s::bigint
