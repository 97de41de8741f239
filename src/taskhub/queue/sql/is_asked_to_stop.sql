-- Whether somebody asked this attempt to stop, as this transaction sees it.
--
-- One row always. Index: cancel_requests_job_id.
SELECT EXISTS (
    SELECT FROM {schema}.cancel_requests AS c
    WHERE c.job_id = %(job_id)s::bigint AND c.claim = %(claim)s::integer
) AS is_asked
