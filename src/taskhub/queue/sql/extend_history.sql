-- Make the history's partitions ahead of the ids that the sequence will give next, and for the given
-- ids, whose partition may have been dropped.
SELECT {schema}.extend_attempts_v1(
    (SELECT s.last_value + 1000000 FROM {schema}.procrastinate_jobs_id_seq AS s),
    %(job_ids)s::bigint[]
)
