-- Take procrastinate's row triggers off its jobs table, and the foreign keys from and to it: three event
-- rows and two notifications are 60 % of the cost of a job, and a foreign key is 30 us of each ack.
DO $$
DECLARE _thing record;
BEGIN
    FOR _thing IN
        SELECT t.tgname AS name
        FROM pg_trigger AS t
        WHERE t.tgrelid = '{schema}.procrastinate_jobs'::regclass AND NOT t.tgisinternal
          AND t.tgname LIKE 'procrastinate%'
    LOOP
        EXECUTE format('DROP TRIGGER %I ON {schema}.procrastinate_jobs', _thing.name);
    END LOOP;
    FOR _thing IN
        SELECT c.conrelid::regclass AS owner, c.conname AS name
        FROM pg_constraint AS c
        WHERE c.contype = 'f'
          AND '{schema}.procrastinate_jobs'::regclass IN (c.conrelid, c.confrelid)
          AND c.conrelid::regclass::text LIKE '%procrastinate%'
    LOOP
        EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', _thing.owner, _thing.name);
    END LOOP;
END $$
