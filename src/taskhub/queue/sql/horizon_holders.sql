-- What keeps vacuum from removing dead rows of this database, the oldest hold first.
--
-- A session holds by its snapshot (backend_xmin) or by the rows it wrote (backend_xid), also while it is
-- idle in its transaction. Vacuums themselves hold nothing, other databases hold only the shared catalogs.
-- Of a standby and a slot nobody knows since when they hold. Another role's session shows its age in
-- transactions to everybody, the rest to members of pg_monitor alone.
-- No row back: nothing is open. Index: none, these are views of the server's memory.
SELECT held.kind, held.pid, held.name, held.state, held.since, held.xmin_age, held.query
FROM (
    SELECT
        'session' AS kind, s.pid, nullif(s.application_name, '') AS name, s.state,
        s.xact_start AS since,
        greatest(age(s.backend_xmin), age(s.backend_xid)) AS xmin_age,
        nullif(s.query, '<insufficient privilege>') AS query
    FROM pg_stat_activity AS s
    WHERE s.datname = current_database()
      AND s.pid <> pg_backend_pid()
      AND coalesce(s.backend_xmin, s.backend_xid) IS NOT NULL
      AND s.backend_type IS DISTINCT FROM 'walsender'
      AND NOT starts_with(s.query, 'autovacuum: VACUUM ')
    UNION ALL
    SELECT
        'prepared transaction', NULL, p.gid, 'prepared', p.prepared, age(p.transaction), NULL
    FROM pg_prepared_xacts AS p
    WHERE p.database = current_database()
    UNION ALL
    SELECT
        'standby', r.pid, nullif(r.application_name, ''), r.state, NULL, age(r.backend_xmin), NULL
    FROM pg_stat_replication AS r
    WHERE r.backend_xmin IS NOT NULL
    UNION ALL
    SELECT
        'replication slot', l.active_pid, l.slot_name::text,
        CASE WHEN l.active THEN 'active' ELSE 'inactive' END, NULL, age(l.xmin), NULL
    FROM pg_replication_slots AS l
    WHERE l.xmin IS NOT NULL
) AS held
ORDER BY held.xmin_age DESC, held.since
LIMIT %(limit)s::integer
