-- Delete jobs that ended long ago without success, of the next ones above an id; with dry_run count them.
--
-- A job that succeeded stands here only if an adopted schema brought it along; it goes with the history.
-- last_id is NULL where there are no more. An operator's retry that comes in between wins: the status is
-- looked at once more.
-- Index: jobs_ended, once for each status, then procrastinate_jobs_pkey.
WITH ended AS (
    (
        SELECT j.id, coalesce(j.finished_at, j.started_at, j.deferred_at) AS at, false AS is_history
        FROM {schema}.procrastinate_jobs AS j
        WHERE j.status = 'failed' AND j.id > %(after_id)s::bigint
        ORDER BY j.id LIMIT %(limit)s::integer
    )
    UNION ALL
    (
        SELECT j.id, coalesce(j.finished_at, j.started_at, j.deferred_at), false
        FROM {schema}.procrastinate_jobs AS j
        WHERE j.status = 'cancelled' AND j.id > %(after_id)s::bigint
        ORDER BY j.id LIMIT %(limit)s::integer
    )
    UNION ALL
    (
        SELECT j.id, coalesce(j.finished_at, j.started_at, j.deferred_at), false
        FROM {schema}.procrastinate_jobs AS j
        WHERE j.status = 'aborted' AND j.id > %(after_id)s::bigint
        ORDER BY j.id LIMIT %(limit)s::integer
    )
    UNION ALL
    (
        SELECT j.id, coalesce(j.finished_at, j.started_at, j.deferred_at), true
        FROM {schema}.procrastinate_jobs AS j
        WHERE j.status = 'succeeded' AND j.id > %(after_id)s::bigint
        ORDER BY j.id LIMIT %(limit)s::integer
    )
), looked AS MATERIALIZED (
    SELECT
        ended.id,
        ended.at < now() - make_interval(secs => CASE
            WHEN ended.is_history THEN %(history_seconds)s::double precision
            ELSE %(dead_letter_seconds)s::double precision
        END) AS is_due
    FROM ended
    ORDER BY ended.id
    LIMIT %(limit)s::integer
), gone AS (
    DELETE FROM {schema}.procrastinate_jobs AS j
    USING looked
    WHERE j.id = looked.id
      AND looked.is_due
      AND NOT %(dry_run)s::boolean
      AND j.status::text IN ('failed', 'cancelled', 'aborted', 'succeeded')
    RETURNING j.id
)
SELECT
    max(looked.id) AS last_id,
    CASE
        WHEN %(dry_run)s::boolean THEN count(*) FILTER (WHERE looked.is_due)
        ELSE (SELECT count(*) FROM gone)
    END AS pruned
FROM looked
