-- procrastinate's farewell of a worker; without a foreign key its running jobs are let go here.
CREATE OR REPLACE FUNCTION {schema}.procrastinate_unregister_worker_v1(worker_id bigint)
RETURNS void
LANGUAGE plpgsql
SET search_path = {schema}, pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE procrastinate_jobs AS j
    SET worker_id = NULL
    WHERE j.worker_id = $1 AND j.status = 'doing';
    DELETE FROM procrastinate_workers AS p WHERE p.id = $1;
END $$
