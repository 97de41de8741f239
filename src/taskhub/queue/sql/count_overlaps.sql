-- How many runs overlapped with the next run of their job within a time, and the longest overlap.
--
-- One row always; longest is null where there was none. Index: overlaps_noticed_at.
SELECT count(*) AS runs, max(o.overlap_seconds) AS longest_seconds
FROM {schema}.overlaps AS o
WHERE o.noticed_at > now() - make_interval(secs => %(seconds)s::double precision)
