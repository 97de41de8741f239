-- Whether some task's argument of this name is kept to search by.
--
-- One row always. Index: none, there is one row a task.
SELECT EXISTS (
    SELECT FROM {schema}.indexed_args AS i WHERE %(name)s::text = ANY(i.names)
) AS is_indexed
