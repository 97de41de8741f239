-- Whether a partition of the history can go: all its runs ended long ago, and no job with an id of its
-- range is left or can still appear.
--
-- Ids are given out before their transactions commit. A run of a later id that ended before the oldest
-- open transaction began proves that no open transaction holds an id of the range. One row always.
-- Index: attempts_finished_at of the partition, procrastinate_jobs_pkey, the primary keys of attempts.
SELECT
    NOT EXISTS (
        SELECT 1
        FROM {schema}.attempts AS a
        WHERE a.job_id >= %(first_id)s::bigint
          AND a.job_id < %(end_id)s::bigint
          AND a.finished_at >= now() - make_interval(secs => %(history_seconds)s::double precision)
    )
    AND NOT EXISTS (
        SELECT 1
        FROM {schema}.procrastinate_jobs AS j
        WHERE j.id >= %(first_id)s::bigint
          AND j.id < %(end_id)s::bigint
    )
    AND coalesce(
        (
            SELECT a.finished_at
            FROM {schema}.attempts AS a
            WHERE a.job_id >= %(end_id)s::bigint
            ORDER BY a.job_id
            LIMIT 1
        ) < least(
            (
                SELECT min(s.xact_start)
                FROM pg_stat_activity AS s
                WHERE s.datname = current_database()
                  AND s.pid <> pg_backend_pid()
                  AND s.backend_type = 'client backend'
            ),
            (SELECT min(p.prepared) FROM pg_prepared_xacts AS p WHERE p.database = current_database()),
            now()
        ),
        false
    ) AS is_over
