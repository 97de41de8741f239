-- Delete what is noted of overlapping runs when it is as old as the history; with dry_run count it.
--
-- One row always. There are as many as pauses of workers, so they are taken at once.
-- Index: overlaps_noticed_at.
WITH due AS MATERIALIZED (
    SELECT o.ctid AS place
    FROM {schema}.overlaps AS o
    WHERE o.noticed_at < now() - make_interval(secs => %(history_seconds)s::double precision)
), gone AS (
    DELETE FROM {schema}.overlaps AS o
    USING due
    WHERE o.ctid = due.place
      AND NOT %(dry_run)s::boolean
    RETURNING o.job_id
)
SELECT
    CASE
        WHEN %(dry_run)s::boolean THEN (SELECT count(*) FROM due)
        ELSE (SELECT count(*) FROM gone)
    END AS pruned
