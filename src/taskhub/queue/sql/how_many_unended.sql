-- How many jobs find_unended gives: that wait or run and match, at most %(limit)s.
--
-- One row. Counted where they are: ten thousand ids took longer on their way than to be found.
-- Index: as find_unended.
SELECT count(*) AS jobs
FROM (
{find_unended}
) AS found
