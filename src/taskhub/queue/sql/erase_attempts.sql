-- Blank what names a person in the next runs of the history: arguments, results, errors and logs.
--
-- last_job is NULL where there are no more. `also` is blanked only in runs that are about the person:
-- those that `sure` matches, or whose arguments contain `about`.
-- Index: attempts_pkey of each partition.
WITH stretch AS MATERIALIZED (
    SELECT a.job_id, a.claim
    FROM {schema}.attempts AS a
    WHERE (a.job_id, a.claim) > (%(after_job)s::bigint, %(after_claim)s::integer)
    ORDER BY a.job_id, a.claim
    LIMIT %(limit)s::integer
), about AS MATERIALIZED (
    SELECT a.job_id, a.claim, %(sure)s::text || '|' || %(also)s::text AS pattern
    FROM {schema}.attempts AS a
    JOIN stretch ON stretch.job_id = a.job_id AND stretch.claim = a.claim
    WHERE concat_ws(
        ' ', a.args::text, a.result::text, a.error_message, a.traceback, a.log, a.lock, a.queueing_lock
    ) ~* %(sure)s::text
       OR a.args @> %(about)s::jsonb
), gone AS (
    UPDATE {schema}.attempts AS a
    SET args = regexp_replace(a.args::text, about.pattern, '[erased]', 'gi')::jsonb,
        result = regexp_replace(a.result::text, about.pattern, '[erased]', 'gi')::jsonb,
        error_message = regexp_replace(a.error_message, about.pattern, '[erased]', 'gi'),
        traceback = regexp_replace(a.traceback, about.pattern, '[erased]', 'gi'),
        log = regexp_replace(a.log, about.pattern, '[erased]', 'gi'),
        lock = regexp_replace(a.lock, about.pattern, '[erased]', 'gi'),
        queueing_lock = regexp_replace(a.queueing_lock, about.pattern, '[erased]', 'gi')
    FROM about
    WHERE a.job_id = about.job_id
      AND a.claim = about.claim
      AND concat_ws(
          ' ', a.args::text, a.result::text, a.error_message, a.traceback, a.log, a.lock,
          a.queueing_lock
      ) ~* about.pattern
    RETURNING a.job_id
), last AS (
    SELECT stretch.job_id, stretch.claim FROM stretch ORDER BY stretch.job_id DESC, stretch.claim DESC LIMIT 1
)
SELECT
    (SELECT last.job_id FROM last) AS last_job,
    (SELECT last.claim FROM last) AS last_claim,
    (SELECT count(*) FROM gone) AS erased
