-- What is wrong with a job that is to be stored, in one line, or null: the bounds of taskhub.queue.storable.
CREATE FUNCTION {schema}.job_refusal(
    _task_name text, _args jsonb, _queue text, _lock text, _queueing_lock text, _scheduled_at timestamptz
) RETURNS text
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE
        WHEN octet_length(_task_name) NOT BETWEEN 1 AND 128
            THEN format('task_name must be 1 to 128 bytes, got %s', octet_length(_task_name))
        WHEN octet_length(_queue) NOT BETWEEN 1 AND 40
            THEN format('queue must be 1 to 40 bytes, got %s', octet_length(_queue))
        WHEN octet_length(_lock) > 1024
            THEN format('lock must be at most 1024 bytes, got %s', octet_length(_lock))
        WHEN octet_length(_queueing_lock) > 1024
            THEN format('queueing_lock must be at most 1024 bytes, got %s', octet_length(_queueing_lock))
        WHEN jsonb_typeof(_args) <> 'object'
            THEN format('args must be a JSON object, got %s', jsonb_typeof(_args))
        WHEN octet_length(_args::text) > 1048576
            THEN format('args must be at most 1048576 bytes as text, got %s', octet_length(_args::text))
        WHEN _scheduled_at < '0002-01-01 UTC' OR _scheduled_at >= '9999-01-01 UTC'
            THEN format('scheduled_at must be of a year from 2 to 9998, got %s', _scheduled_at)
    END
$$
