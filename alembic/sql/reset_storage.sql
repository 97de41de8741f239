-- Take our storage parameters off procrastinate's tables again.
DO $$
DECLARE _thing record;
BEGIN
    FOR _thing IN
        SELECT
            c.oid::regclass AS owner,
            (
                SELECT string_agg(prefix || split_part(o, '=', 1), ', ')
                FROM (
                    SELECT '' AS prefix, unnest(c.reloptions) AS o
                    UNION ALL
                    SELECT 'toast.', unnest(t.reloptions) FROM pg_class AS t WHERE t.oid = c.reltoastrelid
                ) AS options
            ) AS names
        FROM pg_class AS c
        WHERE c.oid IN (
            '{schema}.procrastinate_jobs'::regclass, '{schema}.procrastinate_workers'::regclass
        )
    LOOP
        EXECUTE format('ALTER TABLE %s RESET (%s)', _thing.owner, _thing.names);
    END LOOP;
END $$
