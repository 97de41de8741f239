-- Keep how far running jobs are, by rows of their own; fenced: a report counts while its claim does.
--
-- `_reports` is a JSON array, see the columns below. Gives how many were kept; the others' claims are
-- over. The job's row is read and not touched. In the order of the ids, so that two callers at once
-- cannot wait for each other.
-- Index: the primary keys of procrastinate_jobs and progress.
CREATE FUNCTION {schema}.report_progress_v1(_reports text) RETURNS integer
LANGUAGE plpgsql
SET search_path = {schema}, pg_catalog, pg_temp
SET lock_timeout = '5s'
{planner}
AS $$
DECLARE
    _kept integer;
BEGIN
    INSERT INTO progress AS p (job_id, claim, attempt, done, out_of, note, at)
    SELECT told.job_id, told.claim, told.attempt, told.done, told.out_of, told.note, clock_timestamp()
    FROM json_to_recordset(_reports::json) AS told (
        job_id bigint, claim integer, worker_id bigint, attempt integer, done double precision,
        out_of double precision, note text
    )
    CROSS JOIN LATERAL (
        SELECT 1
        FROM procrastinate_jobs AS j
        WHERE j.id = told.job_id
          AND j.claim = told.claim
          AND j.worker_id = told.worker_id
          AND j.status::text = 'doing'
        OFFSET 0
    ) AS held
    ORDER BY told.job_id
    ON CONFLICT (job_id) DO UPDATE
    SET claim = excluded.claim,
        attempt = excluded.attempt,
        done = excluded.done,
        out_of = excluded.out_of,
        note = excluded.note,
        at = excluded.at
    WHERE p.claim <= excluded.claim;
    GET DIAGNOSTICS _kept = ROW_COUNT;
    RETURN _kept;
END $$
