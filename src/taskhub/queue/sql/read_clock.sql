-- The time on the database's clock.
SELECT clock_timestamp() AS now
