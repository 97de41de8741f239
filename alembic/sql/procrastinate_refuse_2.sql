-- Stop before anything changed where the tables are those of procrastinate 2 or older.
DO $do$
BEGIN
    IF to_regclass('procrastinate_jobs') IS NOT NULL AND NOT EXISTS (
        SELECT FROM pg_attribute AS a
        WHERE a.attrelid = to_regclass('procrastinate_jobs') AND a.attname = 'abort_requested'
    ) THEN
        RAISE EXCEPTION 'procrastinate''s tables must be those of version 3.0 or newer, these are older; '
            'apply its own migrations up to 3.0 first';
    END IF;
END $do$
