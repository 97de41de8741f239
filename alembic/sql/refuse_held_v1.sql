-- Raise if a job is being run by one of our workers: only the one that holds the claim may say what
-- became of it. Plain procrastinate workers are not in the registry.
CREATE FUNCTION {schema}.refuse_held_v1(_job {schema}.procrastinate_jobs) RETURNS void
LANGUAGE plpgsql
SET search_path = {schema}, pg_catalog, pg_temp
AS $$
BEGIN
    IF _job.status = 'doing' AND EXISTS (SELECT 1 FROM workers AS w WHERE w.id = _job.worker_id) THEN
        RAISE 'Job % is being run by taskhub worker %, which alone may finish or retry it',
            _job.id, _job.worker_id
            USING HINT = 'Cancel it, or let its lease run out: it is given back by itself.';
    END IF;
END $$
