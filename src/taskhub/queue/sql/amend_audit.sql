-- Say what a change that was noted when it began has come to. No row back: the audit lost it.
--
-- Index: audit_pkey.
UPDATE {schema}.audit AS a
SET matched = %(matched)s::bigint,
    changed = %(changed)s::bigint,
    outcome = %(outcome)s::text,
    error = %(error)s::text
WHERE a.id = %(id)s::bigint
RETURNING a.id
