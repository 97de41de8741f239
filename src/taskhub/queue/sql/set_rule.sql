-- Change what is said of a queue, a task or a key; see rule_v1.
SELECT {schema}.rule_v1(
    %(name)s::text,
    %(what)s::text,
    %(at_most)s::integer,
    %(reason)s::text,
    %(until)s::timestamptz,
    %(more)s::jsonb
) AS was_there
