-- How many jobs hold secrets under which key, by status.
--
-- No row back: no job holds any. The history is not looked at. Index: none, all jobs are read.
SELECT
    argument.value #>> '{$secret,key}' AS key_id,
    j.status::text AS status,
    count(DISTINCT j.id) AS jobs
FROM {schema}.procrastinate_jobs AS j
CROSS JOIN LATERAL jsonb_each(
    CASE WHEN jsonb_typeof(j.args) = 'object' THEN j.args ELSE '{}' END
) AS argument
WHERE jsonb_typeof(argument.value -> '$secret' -> 'key') = 'string'
GROUP BY argument.value #>> '{$secret,key}', j.status
ORDER BY key_id, status
