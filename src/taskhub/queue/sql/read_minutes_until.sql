-- The time now, and up to when minutes are added up (NULL: none ever was).
--
-- One row always. Index: none, it is one row.
SELECT now() AS now, (SELECT m.until_at FROM {schema}.minutes_mark AS m) AS until_at
