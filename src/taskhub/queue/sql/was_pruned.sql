-- Whether a job that is not there was there once, and is past its retention: its part of the history
-- is dropped, or runs of it are left whose job has been deleted.
--
-- One row always. False: it was rolled back, has not committed yet, or never was. A partition holds a
-- million ids and is named by them, see extend_attempts_v1.
-- Index: the primary key of one partition of attempts, and those of the catalog.
SELECT
    %(job_id)s::bigint <= (SELECT s.last_value FROM {schema}.procrastinate_jobs_id_seq AS s)
    AND (
        NOT EXISTS (
            SELECT 1
            FROM pg_inherits AS i
            WHERE i.inhparent = '{schema}.attempts'::regclass
              AND i.inhrelid = to_regclass('{schema}.attempts_' || %(job_id)s::bigint / 1000000)
        )
        OR EXISTS (SELECT 1 FROM {schema}.attempts AS a WHERE a.job_id = %(job_id)s::bigint)
    ) AS was_pruned
