-- How many jobs the planner thinks there are in a queue (NULL: in all), with a status and a gate: its statistics,
-- not a count.
--
-- One row always, the plan. Index: none, nothing is read.
EXPLAIN (FORMAT JSON)
SELECT FROM {schema}.procrastinate_jobs AS j
WHERE j.status = %(status)s::{schema}.procrastinate_job_status
  AND (%(gate)s::integer IS NULL OR j.gate = %(gate)s::integer)
  AND (%(queue)s::text IS NULL OR j.queue_name = %(queue)s::text)
