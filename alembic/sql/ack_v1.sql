-- Move jobs that succeeded out of the jobs table into the history.
--
-- `stored` lacks the ids whose claim was lost, or that were stored by an earlier call; `freed` are
-- the locks that the others held, `slots` the limits they counted for, once for each job. Extras: NULL, or a JSON array beside the ids, whose elements are
-- null or an object with r, the result, and l, the log.
-- Index: procrastinate_jobs_pkey. status::text keeps the planner off the partial indexes, which
-- hold nothing but dead entries of running jobs: 290 ms a batch were seen. No join: one that was planned
-- while the table was small read all of it, and the plan was kept.
CREATE FUNCTION {schema}.ack_v1(
    _worker_id bigint,
    _ids bigint[],
    _claims integer[],
    _extras text,
    OUT stored bigint[],
    OUT freed text[],
    OUT slots text[]
)
LANGUAGE plpgsql
SET search_path = {schema}, pg_catalog, pg_temp
{planner}
AS $$
DECLARE
    _claim_of jsonb := jsonb_object(_ids::text[], _claims::text[]);
    _extra_of jsonb;
BEGIN
    IF _extras IS NOT NULL THEN
        SELECT jsonb_object_agg(d.id::text, d.extra) INTO _extra_of
        FROM unnest(_ids, ARRAY(SELECT jsonb_array_elements(_extras::jsonb))) AS d (id, extra);
    END IF;
    WITH gone AS (
        DELETE FROM procrastinate_jobs AS j
        WHERE j.id = ANY(_ids)
          AND j.claim = (_claim_of ->> j.id::text)::integer
          AND j.worker_id = _worker_id
          AND j.status::text = 'doing'
        RETURNING
            j.id, j.claim, j.attempts, j.queue_name, j.task_name, j.started_at, j.priority, j.lock,
            j.queueing_lock, j.deferred_at, j.args, j.limit_key, j.version
    ), kept AS (
        INSERT INTO attempts (
            job_id, claim, attempt, outcome, queue_name, task_name, worker_id, started_at,
            finished_at, priority, lock, queueing_lock, deferred_at, args, result, log,
            version
        )
        SELECT
            gone.id, gone.claim, gone.attempts + 1, 'succeeded', gone.queue_name, gone.task_name,
            _worker_id, gone.started_at, clock_timestamp(), gone.priority, gone.lock,
            gone.queueing_lock, gone.deferred_at, gone.args,
            _extra_of -> gone.id::text -> 'r', _extra_of -> gone.id::text ->> 'l',
            gone.version
        FROM gone
    )
    SELECT
        array_agg(gone.id),
        array_agg(DISTINCT gone.lock) FILTER (WHERE gone.lock IS NOT NULL),
        array_agg(gone.limit_key) FILTER (WHERE gone.limit_key IS NOT NULL)
    INTO stored, freed, slots
    FROM gone;
END $$
