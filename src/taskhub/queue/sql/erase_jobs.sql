-- Blank what names a person in the next jobs above an id: in arguments, and in the keys of jobs that ended.
--
-- last_id is NULL where there are no more jobs. Keys of jobs that wait or run stay: they keep others out.
-- `also` is blanked only in jobs that ended and are about the person: those that `sure` matches, or whose
-- arguments contain `about`. A job that a worker ends meanwhile is waited for, then looked at as it is.
-- Index: procrastinate_jobs_pkey.
WITH stretch AS MATERIALIZED (
    SELECT j.id
    FROM {schema}.procrastinate_jobs AS j
    WHERE j.id > %(after_id)s::bigint
    ORDER BY j.id
    LIMIT %(limit)s::integer
), gone AS (
    UPDATE {schema}.procrastinate_jobs AS j
    SET args = regexp_replace(
            CASE
                WHEN j.status::text IN ('todo', 'doing') THEN j.args::text
                ELSE regexp_replace(j.args::text, %(also)s::text, '[erased]', 'gi')
            END,
            %(sure)s::text, '[erased]', 'gi'
        )::jsonb,
        lock = CASE WHEN j.status::text IN ('todo', 'doing') THEN j.lock
            ELSE regexp_replace(j.lock, %(sure)s::text, '[erased]', 'gi') END,
        queueing_lock = CASE WHEN j.status::text IN ('todo', 'doing') THEN j.queueing_lock
            ELSE regexp_replace(j.queueing_lock, %(sure)s::text, '[erased]', 'gi') END,
        limit_key = CASE WHEN j.status::text IN ('todo', 'doing') THEN j.limit_key
            ELSE regexp_replace(j.limit_key, %(sure)s::text, '[erased]', 'gi') END,
        fair_key = CASE WHEN j.status::text IN ('todo', 'doing') THEN j.fair_key
            ELSE regexp_replace(j.fair_key, %(sure)s::text, '[erased]', 'gi') END
    FROM stretch
    WHERE j.id = stretch.id
      AND (
          j.args::text ~* %(sure)s::text
          OR (
              j.status::text NOT IN ('todo', 'doing')
              AND (
                  concat_ws(' ', j.lock, j.queueing_lock, j.limit_key, j.fair_key) ~* %(sure)s::text
                  OR (j.args @> %(about)s::jsonb AND j.args::text ~* %(also)s::text)
              )
          )
      )
    RETURNING j.id
)
SELECT
    (SELECT max(stretch.id) FROM stretch) AS last_id,
    (SELECT count(*) FROM gone) AS erased
