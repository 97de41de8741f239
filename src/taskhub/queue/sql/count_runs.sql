-- How many runs ended within the last since_seconds, by how they ended; counting stops above most.
--
-- One row always. Run it with enable_seqscan off: for the sake of LIMIT the planner would read the
-- history from its oldest row, in the hope of meeting a young one soon.
-- Index: attempts_finished_at of every partition, which leaves out the old ones at a glance.
SELECT
    count(*) FILTER (WHERE runs.outcome = 'succeeded') AS succeeded,
    count(*) FILTER (WHERE runs.outcome IN ('failed', 'retried', 'lost')) AS failed,
    count(*) > %(most)s::integer AS is_more
FROM (
    SELECT a.outcome
    FROM {schema}.attempts AS a
    WHERE a.finished_at >= now() - make_interval(secs => %(since_seconds)s::double precision)
    LIMIT %(most)s::integer + 1
) AS runs
