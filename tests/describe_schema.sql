-- One line for each thing in the first schema of the path, but for those that belong to extensions.
SELECT line
FROM (
    SELECT
        format(
            'column %s.%s %s not null %s default %s identity %s', c.relname, a.attname,
            format_type(a.atttypid, a.atttypmod), a.attnotnull,
            pg_get_expr(d.adbin, d.adrelid), a.attidentity
        ) AS line,
        c.oid
    FROM pg_class AS c
    JOIN pg_attribute AS a ON a.attrelid = c.oid
    LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE c.relnamespace = current_schema::regnamespace
      AND c.relkind IN ('r', 'c', 'p')
      AND a.attnum > 0
      AND NOT a.attisdropped
    UNION ALL
    SELECT format('relation %s %s %s', c.relname, c.relkind, c.reloptions), c.oid
    FROM pg_class AS c
    WHERE c.relnamespace = current_schema::regnamespace
    UNION ALL
    SELECT pg_get_indexdef(i.indexrelid), i.indrelid
    FROM pg_index AS i
    JOIN pg_class AS c ON c.oid = i.indrelid
    WHERE c.relnamespace = current_schema::regnamespace
    UNION ALL
    SELECT
        format(
            'constraint %s on %s: %s valid %s', k.conname, k.conrelid::regclass,
            pg_get_constraintdef(k.oid), k.convalidated
        ),
        k.oid
    FROM pg_constraint AS k
    WHERE k.connamespace = current_schema::regnamespace
    UNION ALL
    SELECT format('%s enabled %s', pg_get_triggerdef(t.oid), t.tgenabled), t.oid
    FROM pg_trigger AS t
    JOIN pg_class AS c ON c.oid = t.tgrelid
    WHERE c.relnamespace = current_schema::regnamespace AND NOT t.tgisinternal
    UNION ALL
    SELECT
        format(
            'function %s(%s) returns %s, %s %s %s: %s', p.proname,
            pg_get_function_arguments(p.oid), pg_get_function_result(p.oid), p.provolatile,
            p.prosecdef, p.proconfig, p.prosrc
        ),
        p.oid
    FROM pg_proc AS p
    WHERE p.pronamespace = current_schema::regnamespace
    UNION ALL
    SELECT
        format(
            'enum %s: %s', t.typname,
            (
                SELECT array_agg(e.enumlabel ORDER BY e.enumsortorder)
                FROM pg_enum AS e
                WHERE e.enumtypid = t.oid
            )
        ),
        t.oid
    FROM pg_type AS t
    WHERE t.typnamespace = current_schema::regnamespace AND t.typtype = 'e'
    UNION ALL
    SELECT format('sequence %s %s', c.relname, format_type(s.seqtypid, NULL)), c.oid
    FROM pg_sequence AS s
    JOIN pg_class AS c ON c.oid = s.seqrelid
    WHERE c.relnamespace = current_schema::regnamespace
) AS things
WHERE NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.objid = things.oid AND d.deptype = 'e')
ORDER BY line
