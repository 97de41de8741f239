-- How many jobs find_ended gives: that ended without success and match, at most %(limit)s.
--
-- One row. Counted where they are: ten thousand ids took longer on their way than to be found.
-- Index: as find_ended.
SELECT count(*) AS jobs
FROM (
{find_ended}
) AS found
