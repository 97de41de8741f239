-- Say which arguments of which tasks are kept of jobs to search by, in a JSON object of lists by task.
--
-- Names are only ever added: two versions of the code may be there at once. No row back: all was said before.
-- Index: indexed_args_pkey.
INSERT INTO {schema}.indexed_args AS i (task_name, names)
SELECT d.key, ARRAY(SELECT jsonb_array_elements_text(d.value))
FROM jsonb_each(%(declared)s::jsonb) AS d
ORDER BY d.key
ON CONFLICT (task_name) DO UPDATE
SET names = ARRAY(SELECT n FROM unnest(i.names || excluded.names) AS n GROUP BY n ORDER BY n)
WHERE NOT i.names @> excluded.names
RETURNING i.task_name
