-- The audit's rows, the newest first, older than before_id.
--
-- Index: audit_pkey, audit_actor or audit_action.
SELECT
    a.id,
    a.at,
    a.actor,
    a.source,
    a.action,
    a.target,
    a.reason,
    a.matched,
    a.changed,
    a.outcome,
    a.error
FROM {schema}.audit AS a
WHERE (%(before_id)s::bigint IS NULL OR a.id < %(before_id)s::bigint)
  AND (%(actor)s::text IS NULL OR a.actor = %(actor)s::text)
  AND (%(action)s::text IS NULL OR a.action = %(action)s::text)
ORDER BY a.id DESC
LIMIT %(limit)s::integer
