-- Hold the next jobs whose arguments have a secret under another key than the first, by id.
--
-- No row back: there are no more above `after`. Running jobs are left alone, and so is a row that
-- somebody holds; a claim passes over the rows that are held here.
-- Index: procrastinate_jobs_pkey; status::text keeps the planner off the partial indexes.
SELECT j.id, j.task_name, j.args
FROM {schema}.procrastinate_jobs AS j
WHERE j.id > %(after)s::bigint
  AND j.status::text <> 'doing'
  AND jsonb_path_exists(
      j.args, '$.*."$secret".key ? (@ != $first)', jsonb_build_object('first', %(first)s::text)
  )
ORDER BY j.id
LIMIT %(most)s::integer
FOR UPDATE SKIP LOCKED
