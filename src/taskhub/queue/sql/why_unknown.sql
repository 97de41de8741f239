-- The highest id that was ever given, and the lowest one that is still known.
--
-- One row always. Ids of transactions that are open or were rolled back count as given.
-- Index: procrastinate_jobs_pkey and the primary keys of attempts, one end of each.
SELECT
    CASE WHEN s.is_called THEN s.last_value ELSE 0 END AS highest_given,
    least(
        (SELECT min(j.id) FROM {schema}.procrastinate_jobs AS j),
        (SELECT a.job_id FROM {schema}.attempts AS a ORDER BY a.job_id LIMIT 1)
    ) AS lowest_kept
FROM {schema}.procrastinate_jobs_id_seq AS s
