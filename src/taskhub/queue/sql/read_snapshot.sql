-- Which transactions are seen from here: another answer than before means that somebody wrote.
--
-- One row always. Index: none, no table is read.
SELECT pg_current_snapshot()::text AS snapshot
