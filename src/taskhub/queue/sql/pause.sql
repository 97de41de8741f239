-- Pause a queue, a task or a key until a time, or for some seconds on the database's clock; see rule_v1.
SELECT {schema}.rule_v1(
    %(name)s::text,
    'pause',
    NULL,
    %(reason)s::text,
    coalesce(
        %(until)s::timestamptz,
        clock_timestamp() + make_interval(secs => %(seconds)s::double precision)
    )
) AS was_there
