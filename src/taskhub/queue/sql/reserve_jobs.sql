-- Take the ids of jobs that COPY is about to store, and tell when they are due.
--
-- COPY evaluates no expression, so what INSERT would compute is asked for before it: ids in
-- their order, and a delay and an expiry on the database's clock, written in the one way that every setting
-- of DateStyle reads back. Ids whose COPY never comes are lost, as a rolled-back INSERT loses its own.
SELECT
    array_agg(nextval(pg_get_serial_sequence('{schema}.procrastinate_jobs', 'id'))) AS ids,
    to_json(clock_timestamp() + make_interval(secs => %(delay_seconds)s::double precision)) #>> '{}' AS due,
    to_json(
        clock_timestamp() + make_interval(secs => %(expires_seconds)s::double precision)
    ) #>> '{}' AS expires
FROM generate_series(1, %(jobs)s::integer)
