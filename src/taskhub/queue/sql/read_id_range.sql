-- The lowest and the highest id of any job, the jobs table and the history read as one.
--
-- One row always; both are NULL where there is no job.
-- Index: procrastinate_jobs_pkey and the primary keys of attempts, one end of each.
SELECT
    least(
        (SELECT min(j.id) FROM {schema}.procrastinate_jobs AS j),
        (SELECT a.job_id FROM {schema}.attempts AS a ORDER BY a.job_id LIMIT 1)
    ) AS lowest_id,
    greatest(
        (SELECT max(j.id) FROM {schema}.procrastinate_jobs AS j),
        (SELECT a.job_id FROM {schema}.attempts AS a ORDER BY a.job_id DESC LIMIT 1)
    ) AS highest_id
