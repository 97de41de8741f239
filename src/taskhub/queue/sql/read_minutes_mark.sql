-- How far minutes are added up, for whoever adds up more; locked until the transaction ends.
--
-- until_at is NULL where none was yet. upto_at: runs that ended before it are stored, or soon will be.
-- Index: none, it is one row.
SELECT
    m.until_at,
    m.previous_id,
    m.last_id,
    date_trunc('minute', now() - interval '5 seconds') AS upto_at
FROM (SELECT) AS always
LEFT JOIN LATERAL (SELECT * FROM {schema}.minutes_mark FOR UPDATE) AS m ON true
