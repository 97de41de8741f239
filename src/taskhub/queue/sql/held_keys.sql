-- Keys that hold jobs back on their own: by a breaker that opened, or until tokens come in; by name.
--
-- No row back: none does. A key without waiting jobs is left out. `lacks_tokens` as of the last look of a worker.
-- Index: none for the states, of which there is one a key that has a rate, feedback or a breaker; jobs_limited.
SELECT
    s.name,
    CASE WHEN r.breaker_failures IS NOT NULL THEN s.opened_at END AS opened_at,
    s.open_until, s.open_reason,
    r.rate IS NOT NULL AND s.opened_at IS NULL AND coalesce(s.wake_at > now(), false) AS lacks_tokens
FROM {schema}.limit_states AS s
JOIN {schema}.rules AS r ON r.name = s.name
WHERE (
        (r.breaker_failures IS NOT NULL AND s.opened_at IS NOT NULL)
        OR (r.rate IS NOT NULL AND s.wake_at > now())
      )
  AND EXISTS (
      SELECT FROM {schema}.procrastinate_jobs AS j
      WHERE j.status = 'todo' AND j.gate = 3 AND j.limit_key = s.name
  )
ORDER BY s.name
LIMIT %(limit)s::integer
