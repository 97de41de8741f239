-- Leave a request to stop with whoever runs a job: a row for our worker, the flag and the
-- notification that it knows for a plain procrastinate worker. No id back: nobody runs it.
CREATE FUNCTION {schema}.ask_to_stop_v1(_job_id bigint, _reason text) RETURNS bigint
LANGUAGE plpgsql
SET search_path = {schema}, pg_catalog, pg_temp
AS $$
DECLARE
    _asked bigint;
BEGIN
    INSERT INTO cancel_requests (job_id, claim, reason)
    SELECT j.id, j.claim, _reason
    FROM procrastinate_jobs AS j
    JOIN workers AS w ON w.id = j.worker_id
    WHERE j.id = _job_id AND j.status = 'doing'
    RETURNING cancel_requests.job_id INTO _asked;
    IF _asked IS NOT NULL THEN
        RETURN _asked;
    END IF;
    UPDATE procrastinate_jobs AS j
    SET abort_requested = true
    WHERE j.id = _job_id AND j.status = 'doing'
    RETURNING j.id INTO _asked;
    IF _asked IS NOT NULL THEN
        PERFORM pg_notify(
            'procrastinate_any_queue_v1',
            json_build_object('type', 'abort_job_requested', 'job_id', _asked)::text
        );
        INSERT INTO procrastinate_events (job_id, type) VALUES (_asked, 'abort_requested');
    END IF;
    RETURN _asked;
END $$
