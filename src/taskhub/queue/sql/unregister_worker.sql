-- Take a worker off the living; its line in the registry says when and why it stopped.
WITH gone AS (
    DELETE FROM {schema}.procrastinate_workers
    WHERE id = %(worker_id)s::bigint
)
UPDATE {schema}.workers
SET stopped_at = now(),
    stop_reason = %(reason)s::text
WHERE id = %(worker_id)s::bigint
  AND stopped_at IS NULL
