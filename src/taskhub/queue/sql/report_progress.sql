-- Keep how far running jobs are, in one statement for all of a process; see report_progress_v1.
--
-- One row always.
SELECT {schema}.report_progress_v1(%(reports)s::text) AS kept
