-- Store a job from SQL alone: triggers, other languages, a role that may do nothing else.
--
-- Such a role needs USAGE on the schema and EXECUTE on this function. The job belongs to the caller's
-- transaction. Input is checked as Python checks it, but for the arguments' names and types, which
-- the database does not know. A queueing_lock that is taken raises unique_violation.
-- The limit on args is raised, up to the table's own, by
-- ALTER FUNCTION {schema}.defer_job SET taskhub.max_args_bytes = ...
CREATE FUNCTION {schema}.defer_job(
    task_name text,
    args jsonb DEFAULT '{}',
    queue text DEFAULT 'default',
    priority integer DEFAULT 0,
    lock text DEFAULT NULL,
    queueing_lock text DEFAULT NULL,
    scheduled_at timestamptz DEFAULT NULL
) RETURNS bigint
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET taskhub.max_args_bytes = '65536'
AS $$
#variable_conflict use_variable
DECLARE
    _max_bytes CONSTANT integer := current_setting('taskhub.max_args_bytes');
    _hint text := 'change the argument of {schema}.defer_job that the message names';
    _refusal text;
    _job_id bigint;
BEGIN
    _refusal := {schema}.job_refusal(task_name, args, queue, lock, queueing_lock, scheduled_at);
    IF _refusal IS NOT NULL THEN
        NULL;
    ELSIF task_name IS NULL OR args IS NULL OR queue IS NULL OR priority IS NULL THEN
        _refusal := 'task_name, args, queue and priority must not be null';
        _hint := 'leave out what has a default, and name the arguments that follow: priority => 5';
    ELSIF lock = '' OR queueing_lock = '' THEN
        _refusal := 'lock and queueing_lock must be null or text that is not empty';
    ELSIF octet_length(args::text) > _max_bytes THEN
        _refusal := format(
            'args must be at most %s bytes as text, got %s', _max_bytes, octet_length(args::text)
        );
        _hint := 'store the data and pass its id';
    ELSIF jsonb_path_exists(args, 'strict $.**{65}') THEN
        _refusal := 'args must be at most 64 levels deep';
        _hint := 'store the data and pass its id';
    ELSIF jsonb_path_exists(
        args,
        'strict $.** ? (@.type() == "number" && (@ > 9223372036854775807 || @ < -9223372036854775808))'
    ) THEN
        _refusal := 'args must have numbers that fit 64 bits';
        _hint := 'pass a longer number as text';
    END IF;
    IF _refusal IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'invalid_parameter_value', MESSAGE = _refusal, HINT = _hint;
    END IF;
    INSERT INTO {schema}.procrastinate_jobs
        (queue_name, task_name, priority, lock, queueing_lock, args, scheduled_at)
    VALUES (queue, task_name, priority, lock, queueing_lock, args, scheduled_at)
    RETURNING id INTO _job_id;
    RETURN _job_id;
END $$
