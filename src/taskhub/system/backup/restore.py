"""Bring a backup back, paused: what had not ended then would otherwise run at once, perhaps again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from psycopg import sql
from sqlalchemy.engine import URL

from taskhub import db
from taskhub.queue import sql as queries
from taskhub.settings import Settings
from taskhub.system.backup import contents, manifest, tools
from taskhub.system.backup.contents import Connection, Told, Unfinished
from taskhub.system.backup.load import load
from taskhub.system.backup.manifest import Manifest

# How far the ids jump where nobody knows how many were given out after the backup. An id that came
# twice would be an idempotency key that came twice, and the second mail would never be sent.
SKIPPED_IDS = 1_000_000


class NotEmpty(RuntimeError):
    """The database holds a hub already; nothing was changed."""


class StillWorking(RuntimeError):
    """Workers live on the hub that would be put aside; nothing was changed."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What was brought back.

    Attributes:
        reason: of the pause of every queue in `queues`.
        unfinished: what waits behind the pause, by queue and task.
        aside: the schemas that what was there before is now called; nothing of it was deleted.
    """

    taken_at: datetime
    rows: int
    reason: str
    queues: tuple[str, ...]
    unfinished: tuple[Unfinished, ...]
    aside: tuple[str, ...]


def restore(
    url: URL,
    settings: Settings,
    dump: Path,
    *,
    replace: bool = False,
    new_identity: bool = False,
    skipped_ids: int = SKIPPED_IDS,
    told: Told = lambda *_: None,
) -> Restored:
    """Restore `dump` in one transaction: every queue paused, schedules set to now, no worker known.

    With `replace` a hub that is there is renamed and stays as it was. With `new_identity` the
    jobs' idempotency keys become others: for a copy that lives beside the original.

    Raises:
        BadBackup: the file is no whole backup, or of schemas with other names than the settings'.
        NotEmpty: a hub is there and `replace` was not given.
        StillWorking: its workers live.
        ToolFailed: the database refused something; nothing was changed.
    """
    described = _whole(dump, settings, told)
    reason = f"restored from the backup of {described.taken_at:%Y-%m-%d %H:%M:%S} UTC"
    with contents.connect(db.conninfo(url)) as connection:
        there = _held(connection, described.schemas, replace=replace)
        lowest = described.last_job_id
        if described.schema in there:
            refuse_living(connection, described.schema)
            lowest = max(lowest, _last_id(connection, described.schema))
        names = {name: f"{name}_until_{datetime.now(UTC):%Y%m%d_%H%M%S_%f}" for name in there}
        before = _make_room(connection, described.schemas, names)
        after = _paused(
            connection, described.schema, reason, lowest + skipped_ids, new_identity=new_identity
        )
        tool = tools.find(connection.info.server_version)
        load(url, dump, described, tool, before=before, after=after, told=told)
        found = tuple(contents.unfinished(connection, described.schema))
        queues = _paused_queues(connection, described.schema, reason)
    aside = tuple(names.values())
    return Restored(described.taken_at, described.rows, reason, queues, found, aside)


def _whole(dump: Path, settings: Settings, told: Told) -> Manifest:
    described = manifest.read(dump)
    check(described, settings)
    told("reading the file", 0, len(described.tables))
    manifest.check(described, dump)
    return described


def check(described: Manifest, settings: Settings) -> None:
    """Whether the settings name the schemas of the backup.

    Raises:
        BadBackup: they do not.
    """
    wanted = (settings.schema, settings.kb_schema)
    have = (described.schema, described.kb_schema or settings.kb_schema)
    if wanted != have:
        raise manifest.BadBackup(
            f"the backup holds the schemas {' and '.join(have)}, the settings name "
            f"{' and '.join(wanted)}; set TASKHUB_SCHEMA={have[0]} TASKHUB_KB_SCHEMA={have[1]}"
        )


def refuse_living(connection: Connection, schema: str) -> None:
    """Nobody may work on what is put aside: it would do work that nobody sees any more.

    Raises:
        StillWorking: somebody does.
    """
    query = """
        SELECT count(*) AS workers
        FROM {workers} AS w
        LEFT JOIN {registry} AS r ON r.id = w.id
        WHERE w.last_heartbeat >= now() - make_interval(secs => coalesce(r.lease_seconds, 60))
    """
    row = connection.execute(
        sql.SQL(query).format(
            workers=sql.Identifier(schema, "procrastinate_workers"),
            registry=sql.Identifier(schema, "workers"),
        )
    ).fetchone()
    if row and row["workers"]:
        raise StillWorking(
            f"{row['workers']} workers live on this database; nothing was changed. Stop them first: "
            "`taskhub drain --all`, then see `taskhub workers`"
        )


def _last_id(connection: Connection, schema: str) -> int:
    query = sql.SQL("SELECT last_value AS id FROM {}").format(
        sql.Identifier(schema, "procrastinate_jobs_id_seq")
    )
    row = connection.execute(query).fetchone()
    return int(row["id"]) if row else 0


def _held(connection: Connection, schemas: Sequence[str], *, replace: bool) -> list[str]:
    """Those of the schemas that hold a table.

    Raises:
        NotEmpty: one does and may not be renamed.
    """
    rows = connection.execute(
        """
        SELECT DISTINCT n.nspname AS name
        FROM pg_catalog.pg_class AS c
        JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
        WHERE n.nspname = ANY(%s)
        ORDER BY 1
        """,
        [list(schemas)],
    )
    held = [row["name"] for row in rows]
    if held and not replace:
        raise NotEmpty(
            f"the schema {held[0]} of this database is not empty; nothing was changed. Restore into an empty "
            "database, or use --replace, which renames what is there"
        )
    if "public" in held:
        raise NotEmpty(
            "the schema public holds tables and cannot be renamed; nothing was changed. Restore into an "
            "empty database"
        )
    return held


def _make_room(connection: Connection, schemas: Sequence[str], names: Mapping[str, str]) -> str:
    """Renames what is there, and drops schemas that are there and empty."""
    statements = [
        sql.SQL("ALTER SCHEMA {} RENAME TO {};").format(sql.Identifier(old), sql.Identifier(new))
        for old, new in names.items()
    ] + [
        sql.SQL("DROP SCHEMA {};").format(sql.Identifier(name))
        for name in contents.schemas_there(connection, schemas)
        if name not in names and name != "public"
    ]
    return "\n".join(statement.as_string(connection) for statement in statements)


def _paused(
    connection: Connection, schema: str, reason: str, lowest: int, *, new_identity: bool
) -> str:
    """What makes a restored hub harmless, in the transaction that brings it.

    A queue that was paused before keeps its own reason. What ran at the backup waits again, behind the
    pause, as after the loss of its worker.
    """
    query = """
        SET search_path = {schema}, pg_catalog;
        SELECT rule_v1('queue:' || q.name, 'pause', NULL, {reason}, NULL)
        FROM (
            SELECT queue_name AS name FROM procrastinate_jobs
            UNION SELECT queue_name FROM attempts
            UNION SELECT unnest(queues) FROM workers
        ) AS q
        WHERE NOT EXISTS (
            SELECT 1 FROM rules AS r WHERE r.name = 'queue:' || q.name AND r.paused_at IS NOT NULL
        );
        UPDATE procrastinate_workers SET last_heartbeat = 'epoch';
        UPDATE workers SET stopped_at = now(), stop_reason = {reason} WHERE stopped_at IS NULL;
        UPDATE crons SET mark = now();
        SELECT setval('procrastinate_jobs_id_seq', greatest(last_value, {lowest}))
        FROM procrastinate_jobs_id_seq;
        SELECT extend_attempts_v1((SELECT last_value + 1000000 FROM procrastinate_jobs_id_seq));
    """
    if new_identity:
        query += "\nUPDATE hub SET id = gen_random_uuid();\n"
    paused = sql.SQL(query).format(
        schema=sql.Identifier(schema), reason=sql.Literal(reason), lowest=sql.Literal(lowest)
    )
    rescued = psycopg.ClientCursor(connection).mogrify(
        queries.load("rescue_jobs", schema),
        {"worker_ids": None, "lease_seconds": 0.0, "what": reason},
    )
    return f"{paused.as_string(connection)}\n{rescued};\n"


def _paused_queues(connection: Connection, schema: str, reason: str) -> tuple[str, ...]:
    query = sql.SQL(
        "SELECT substr(name, 7) AS queue FROM {} WHERE kind = 'queue' AND reason = %s ORDER BY 1"
    )
    rows = connection.execute(query.format(sql.Identifier(schema, "rules")), [reason])
    return tuple(row["queue"] for row in rows)
