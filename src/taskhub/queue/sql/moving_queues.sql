-- The queues in which a job ended within the last so many seconds.
--
-- No row back: none did. Run it with enable_seqscan off, see count_runs.
-- Index: attempts_finished_at of every partition.
SELECT DISTINCT a.queue_name::text AS queue
FROM {schema}.attempts AS a
WHERE a.finished_at >= now() - make_interval(secs => %(seconds)s::double precision)
  AND a.outcome IN ('succeeded', 'failed', 'cancelled', 'aborted')
ORDER BY 1
LIMIT %(limit)s::integer
