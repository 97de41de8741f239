-- Note one change that a person asked for, in the caller's transaction.
INSERT INTO {schema}.audit (
    actor, source, action, target, reason, matched, changed, outcome, error
)
VALUES (
    %(actor)s::text,
    %(source)s::text,
    %(action)s::text,
    %(target)s::jsonb,
    %(reason)s::text,
    %(matched)s::bigint,
    %(changed)s::bigint,
    %(outcome)s::text,
    %(error)s::text
)
RETURNING id
