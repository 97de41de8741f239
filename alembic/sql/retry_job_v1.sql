-- procrastinate's older retry, which takes running jobs only.
CREATE OR REPLACE FUNCTION {schema}.procrastinate_retry_job_v1(
    job_id bigint,
    retry_at timestamp with time zone,
    new_priority integer,
    new_queue_name character varying,
    new_lock character varying
) RETURNS void
LANGUAGE plpgsql
SET search_path = {schema}, pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM procrastinate_jobs AS j WHERE j.id = $1 AND j.status = 'doing') THEN
        RAISE 'Job was not found or not in "doing" status (job id: %)', $1;
    END IF;
    PERFORM procrastinate_retry_job_v2($1, $2, $3, $4, $5);
END $$
