"""Checks of the Postgres server: rights, notifications, vacuum, indexes, slots, locale, durability."""

from __future__ import annotations

import secrets
from typing import Any

import psycopg
from psycopg.sql import SQL, Identifier
from sqlalchemy import text

from taskhub import db
from taskhub.queue import Hub, insight
from taskhub.system import alerts
from taskhub.system.findings import has_tables
from taskhub.system.surroundings import Told

OLDEST_TESTED, NEWEST_TESTED = 15, 18
HEARING_SECONDS = 2.0
MOST_KEPT_BYTES = 1024**3
MOST_NAMED = 3
# What the statements of every tick rest upon; without one of them they read the whole table.
HOT_INDEXES = (
    "jobs_ready", "jobs_due", "jobs_behind", "jobs_strict", "jobs_occupant", "jobs_limited", "jobs_slots",
    "jobs_parked", "jobs_unknown", "jobs_expiring", "jobs_fair", "jobs_window", "jobs_suspect",
    "jobs_running", "jobs_ended", "procrastinate_jobs_queueing_lock_idx_v1", "procrastinate_jobs_pkey",
    "attempts_finished_at", "attempts_pkey",
)  # fmt: skip


def _rows(hub: Hub, query: str, **parameters: Any) -> list[Any]:
    with hub.engine.connect() as connection:
        return list(connection.execute(text(query), parameters))


def _few(names: list[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more


def version(hub: Hub) -> Told:
    """Whether the server is of a version that is tested, and keeps what it has committed."""
    [row] = _rows(
        hub,
        """
        SELECT current_setting('server_version_num')::integer / 10000 AS major,
            current_setting('fsync') = 'on' AND current_setting('full_page_writes') = 'on' AS is_safe
        """,
    )
    if not OLDEST_TESTED <= row.major <= NEWEST_TESTED:
        told = f"PostgreSQL {row.major}; {OLDEST_TESTED} to {NEWEST_TESTED} are tested"
        return "warn", told, "move to a version that is tested"
    if not row.is_safe:
        told = "fsync or full_page_writes is off: a crash of the machine may lose or break the data"
        return "warn", told, "ALTER SYSTEM RESET fsync; ALTER SYSTEM RESET full_page_writes"
    return "ok", f"PostgreSQL {row.major}, durable", ""


def rights(hub: Hub) -> Told:
    """Whether the role may do what a worker does, and what a migration does."""
    schema = hub.settings.schema
    [row] = _rows(
        hub,
        """
        SELECT current_user AS role, has_schema_privilege(:schema, 'USAGE') AND (
                SELECT bool_and(has_table_privilege(format('%I.%I', CAST(:schema AS text), t.name), p.name))
                FROM unnest(ARRAY['procrastinate_jobs', 'attempts', 'workers', 'rules']) AS t (name)
                CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS p (name)
            ) AS may_work,
            has_schema_privilege(:schema, 'CREATE') AS may_migrate
        """,
        schema=schema,
    )
    if not row.may_work:
        grant = f'GRANT ALL ON ALL TABLES IN SCHEMA {schema} TO "{row.role}"'
        remedy = f'GRANT USAGE ON SCHEMA {schema} TO "{row.role}"; {grant}'
        return "fail", f"role {row.role!r} may not do what a worker does", remedy
    if not row.may_migrate:
        return "ok", f"role {row.role!r} works, and does not migrate: another one must", ""
    return "ok", f"role {row.role!r} works and migrates", ""


def notifications(hub: Hub) -> Told:
    """Whether a notification comes back: through a pooler in transaction mode none does."""
    if not hub.settings.notify:
        return "skipped", "the setting notify is off: workers poll", ""
    channel = f"taskhub doctor {secrets.token_hex(8)}"
    direct = hub.settings.listen_url
    listens = db.conninfo(db.address(direct)) if direct else db.conninfo(hub.url)
    with psycopg.connect(listens, autocommit=True, connect_timeout=10) as ear:
        ear.execute(SQL("LISTEN {}").format(Identifier(channel)))
        with hub.engine.begin() as connection:
            connection.execute(text("SELECT pg_notify(:channel, '')"), {"channel": channel})
        heard = list(ear.notifies(timeout=HEARING_SECONDS, stop_after=1))
    if not heard:
        told = "a notification did not come back: a pooler in transaction mode stands between"
        return "warn", told, "set listen_url to a direct address; until then workers poll faster"
    return "ok", "a notification came back", ""


def autovacuum(hub: Hub) -> Told:
    """Whether dead rows are removed: the queue lives on it."""
    [row] = _rows(
        hub,
        """
        SELECT current_setting('autovacuum') = 'on' AND current_setting('track_counts') = 'on' AS is_on
        """,
    )
    if not row.is_on:
        remedy = "ALTER SYSTEM RESET autovacuum; ALTER SYSTEM RESET track_counts; SELECT pg_reload_conf()"
        return "fail", "autovacuum is off: every claim becomes slower by the hour", remedy
    off = _rows(
        hub,
        """
        SELECT c.oid::regclass::text AS name
        FROM pg_class AS c
        WHERE c.relnamespace IN (to_regnamespace(:queue), to_regnamespace(:kb))
          AND 'autovacuum_enabled=false' = ANY(c.reloptions)
        ORDER BY 1
        """,
        queue=hub.settings.schema, kb=hub.settings.kb_schema,
    )  # fmt: skip
    if off:
        remedy = f"ALTER TABLE {off[0].name} RESET (autovacuum_enabled)"
        return "fail", f"it is switched off for {_few([r.name for r in off])}", remedy
    schemas = [hub.settings.schema, hub.settings.kb_schema]
    rotten = hub.read("rotten_tables", schemas=schemas, rows=10_000, share=0.4, limit=10)
    if names := [f"{r['schema_name']}.{r['table_name']}" for r in rotten if r["needs_vacuum"]]:
        told = f"it does not keep up with {_few(names)}"
        return (
            "warn",
            told,
            f"VACUUM (ANALYZE) {names[0]}; is anybody holding it up? see vacuum_horizon",
        )
    return "ok", "on, and it keeps up", ""


def indexes(hub: Hub) -> Told:
    """Whether the indexes of every tick are there, and all are whole."""
    schemas = {"queue": hub.settings.schema, "kb": hub.settings.kb_schema}
    there = _rows(
        hub,
        """
        SELECT c.relname AS name, n.nspname AS schema, i.indisvalid AS is_whole
        FROM pg_index AS i
        JOIN pg_class AS c ON c.oid = i.indexrelid
        JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE n.nspname IN (:queue, :kb)
        """,
        **schemas,
    )
    if broken := [f"{r.schema}.{r.name}" for r in there if not r.is_whole]:
        return "fail", f"not whole: {_few(broken)}", f"REINDEX INDEX CONCURRENTLY {broken[0]}"
    missing = sorted(set(HOT_INDEXES) - {r.name for r in there if r.schema == schemas["queue"]})
    if missing:
        remedy = (
            "make it anew as alembic/versions has it, or `taskhub db migrate` on a restored copy"
        )
        return "fail", f"missing: {_few(missing)}", remedy
    return "ok", f"{len(there)} are there and whole", ""


def logged(hub: Hub) -> Told:
    """Whether every table outlives a crash: an unlogged one is empty after it."""
    unlogged = _rows(
        hub,
        """
        SELECT c.oid::regclass::text AS name FROM pg_class AS c
        WHERE c.relnamespace IN (to_regnamespace(:queue), to_regnamespace(:kb))
          AND c.relkind = 'r' AND c.relpersistence = 'u'
        ORDER BY 1
        """,
        queue=hub.settings.schema,
        kb=hub.settings.kb_schema,
    )
    if unlogged:
        told = f"unlogged, so empty after a crash: {_few([r.name for r in unlogged])}"
        return "fail", told, f"ALTER TABLE {unlogged[0].name} SET LOGGED"
    return "ok", "every table outlives a crash", ""


def slots(hub: Hub) -> Told:
    """Replication slots that nobody reads: they keep WAL, and dead rows, until the disk is full."""
    rows = _rows(
        hub,
        """
        SELECT s.slot_name AS name, s.xmin IS NOT NULL OR s.catalog_xmin IS NOT NULL AS holds_rows,
            coalesce(pg_wal_lsn_diff(
                CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END,
                s.restart_lsn
            ), 0) AS kept_bytes,
            current_setting('wal_level') AS wal_level
        FROM pg_replication_slots AS s
        WHERE NOT s.active
        ORDER BY kept_bytes DESC
        """,
    )
    bad = [r for r in rows if r.holds_rows or r.kept_bytes > MOST_KEPT_BYTES]
    if not bad:
        return "ok", "no idle replication slot holds anything", ""
    told = f"idle slot {bad[0].name!r} keeps {bad[0].kept_bytes / 1024**2:.0f} MiB of WAL"
    told += " and dead rows" if bad[0].holds_rows else ""
    remedy = f"start its reader, or SELECT pg_drop_replication_slot('{bad[0].name}')"
    return "warn", told, remedy


def locale(hub: Hub) -> Told:
    """Whether texts of every language can be stored, and indexes are sorted as they were built."""
    [row] = _rows(
        hub,
        """
        SELECT current_setting('server_encoding') AS encoding, d.datcollate AS collation, d.datname AS name,
            d.datcollversion IS DISTINCT FROM pg_database_collation_actual_version(d.oid) AS has_changed
        FROM pg_database AS d
        WHERE d.datname = current_database()
        """,
    )
    if row.encoding != "UTF8":
        told = f"the database's encoding is {row.encoding}: texts of other languages are refused"
        return "fail", told, "dump it into a database made with ENCODING 'UTF8'"
    if row.has_changed:
        told = "the system's sort order changed since the indexes were built: they may be wrong"
        remedy = (
            f'REINDEX DATABASE "{row.name}"; ALTER DATABASE "{row.name}" REFRESH COLLATION VERSION'
        )
        return "warn", told, remedy
    return "ok", f"UTF8, {row.collation}", ""


def extensions(hub: Hub) -> Told:
    """Whether the installed pgvector is the one whose files are there."""
    rows = _rows(
        hub,
        """
        SELECT e.extname AS name, e.extversion AS has, a.default_version AS could_have
        FROM pg_extension AS e JOIN pg_available_extensions AS a ON a.name = e.extname
        WHERE e.extversion <> a.default_version
        """,
    )
    if rows:
        told = f"{rows[0].name} is {rows[0].has}, the server has {rows[0].could_have}"
        return "warn", told, f"ALTER EXTENSION {rows[0].name} UPDATE"
    return "ok", "as the server has them", ""


def worker_versions(hub: Hub) -> Told:
    """Whether the live workers are of one version."""
    live = [w for w in insight.workers(hub) if w.state in ("live", "draining") and w.version]
    versions = sorted({w.version or "" for w in live})
    if len(versions) > 1:
        old = [w for w in live if w.version == versions[0]]
        told = f"live workers are of versions {', '.join(versions)}"
        return (
            "warn",
            told,
            f"end the rollout: taskhub drain {' '.join(str(w.id) for w in old[:5])}",
        )
    return "ok", f"all of {versions[0]}" if versions else "no worker is live", ""


def monitor(hub: Hub) -> Told:
    """Whether the monitor has looked lately: else nobody hears of anything."""
    if not has_tables(hub):
        return "skipped", "no knowledge base, and so no alerts", ""
    with hub.transaction() as session:
        seconds = alerts.seconds_since_look(session)
    if not hub.settings.monitor_cron.strip():
        return "warn", "the setting monitor_cron switches it off", "unset monitor_cron"
    if seconds is None or seconds > hub.settings.watch_silent_seconds:
        since = "never" if seconds is None else f"{seconds:.0f} s ago"
        told = f"it looked {since}: nobody is told of anything"
        return "warn", told, "taskhub worker --queue system, and `taskhub alerts watch` beside it"
    return "ok", f"it looked {seconds:.0f} s ago", ""
