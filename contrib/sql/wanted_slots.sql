-- How many slots a queue wants: what runs now, and so many more that what is ready is worked off in a minute.
--
-- For an autoscaler that asks Postgres. Name the queue twice and the schema where they are others. A queue without runs
-- in the last ten minutes counts a second a job; an idle one wants none.
WITH recent AS (
    SELECT avg(extract(epoch FROM a.finished_at - a.started_at)) AS run_seconds
    FROM taskhub.attempts AS a
    WHERE a.finished_at > now() - interval '10 minutes' AND a.queue_name = 'mail'
), held AS (
    SELECT
        count(*) FILTER (WHERE j.status = 'todo' AND coalesce(j.scheduled_at, now()) <= now()) AS ready,
        count(*) FILTER (WHERE j.status = 'doing') AS running
    FROM taskhub.procrastinate_jobs AS j
    WHERE j.queue_name = 'mail' AND j.status IN ('todo', 'doing')
)
SELECT ceil(held.running + held.ready * coalesce(recent.run_seconds, 1) / 60)::integer AS wanted_slots
FROM held, recent
