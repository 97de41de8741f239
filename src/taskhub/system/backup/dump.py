"""Make a backup: a dump that pg_restore reads, and its manifest, both of the same moment."""

import dataclasses
import os
import re
import subprocess
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from psycopg import sql
from sqlalchemy.engine import URL

from taskhub import db, migrations
from taskhub.settings import Settings
from taskhub.system.backup import contents, manifest, tools
from taskhub.system.backup.contents import Connection, Told
from taskhub.system.backup.manifest import Manifest

SUFFIX = ".taskhub"


class NothingThere(RuntimeError):
    """The database holds no hub that could be backed up."""


def name_for(at: datetime) -> str:
    """A file name that sorts by time: taskhub-20261124T151000Z.taskhub."""
    return f"taskhub-{at:%Y%m%dT%H%M%SZ}{SUFFIX}"


def backup(url: URL, settings: Settings, target: Path, told: Told = lambda *_: None) -> Manifest:
    """Write the schemas of the hub to `target`, and what it holds to `target`.json.

    All tables are as they were at one moment; jobs and migrations go on meanwhile. A file that is
    there under the final name is whole: it is written under another one and renamed. `told` hears
    what is being done, and how far it is of how much.

    Raises:
        NothingThere: the database was never migrated.
        NoTools: no pg_dump fits the server.
        ToolFailed: pg_dump could not read everything.
        OSError: the file cannot be written.
    """
    with contents.connect(db.conninfo(url)) as connection:
        tool = tools.find(connection.info.server_version)
        half_made = target.with_name(f".{target.name}.{os.getpid()}.half")
        try:
            connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            described = _describe(connection, settings, told)
            _dump(connection, tool, url, described, half_made, told)
            whole = _sealed(described, half_made)
            manifest.write(whole, manifest.beside(half_made))
            # The manifest first: a dump under its final name always has one.
            manifest.beside(half_made).replace(manifest.beside(target))
            half_made.replace(target)
        finally:
            half_made.unlink(missing_ok=True)
            manifest.beside(half_made).unlink(missing_ok=True)
    return whole


def keep_newest(folder: Path, keep: int) -> list[Path]:
    """Delete the backups in a folder that `backup_into` made but for the newest `keep`; those deleted."""
    doomed = sorted(folder.glob(f"taskhub-*{SUFFIX}"))[:-keep] if keep > 0 else []
    for path in doomed:
        path.unlink()
        manifest.beside(path).unlink(missing_ok=True)
    return doomed


def _describe(connection: Connection, settings: Settings, told: Told) -> Manifest:
    schemas = contents.schemas_there(connection, (settings.schema, settings.kb_schema))
    if settings.schema not in schemas:
        raise NothingThere(
            f"the database has no schema {settings.schema}; run `taskhub db migrate`, or name another "
            "database with --database-url"
        )
    identity = "SELECT id::text, date_trunc('second', now()) AS at FROM {schema}.hub"
    hub = _one(connection, identity, settings.schema)
    jobs = _one(
        connection,
        "SELECT last_value AS id FROM {schema}.procrastinate_jobs_id_seq",
        settings.schema,
    )
    revisions = connection.execute(
        sql.SQL("SELECT version_num FROM {} ORDER BY 1").format(
            sql.Identifier(settings.schema, migrations.VERSION_TABLE)
        )
    ).fetchall()
    return Manifest(
        taken_at=hub["at"],
        taskhub_version=version("taskhub"),
        server_version=connection.info.server_version,
        revisions=tuple(row["version_num"] for row in revisions),
        hub_id=hub["id"],
        schema=settings.schema,
        kb_schema=settings.kb_schema if settings.kb_schema in schemas else None,
        last_job_id=jobs["id"],
        tables=contents.tables(connection, schemas, lambda *a: told(f"counting {a[0]}", *a[1:])),
        unfinished=tuple(contents.unfinished(connection, settings.schema)),
    )


def _one(connection: Connection, query: str, schema: str) -> dict[str, Any]:
    row = connection.execute(sql.SQL(query).format(schema=sql.Identifier(schema))).fetchone()
    if row is None:
        raise NothingThere(f"schema {schema} holds no hub; run `taskhub db migrate`")
    return row


def _dump(  # noqa: PLR0917 - the six that one dump is made of
    connection: Connection,
    tool: tools.Tools,
    url: URL,
    described: Manifest,
    target: Path,
    told: Told,
) -> None:
    snapshot = connection.execute("SELECT pg_export_snapshot() AS id").fetchone()
    has_vector = connection.execute(
        "SELECT 1 FROM pg_extension WHERE extname = 'vector'"
    ).fetchone()
    arguments = [
        "--format=custom", "--verbose", "--no-password", "--lock-wait-timeout=60s",
        f"--snapshot={snapshot['id'] if snapshot else ''}", f"--file={target}",
        *(f"--schema={_pattern(name)}" for name in described.schemas),
        # A dump of chosen schemas holds no extension unless it is named, but columns need the type.
        *(["--extension=vector"] if has_vector else []),
    ]  # fmt: skip
    done = 0

    def heard(line: str) -> None:
        nonlocal done
        if found := re.search(r'dumping contents of table "([^"]+)"', line):
            told(f"writing {found[1]}", done, len(described.tables))
            done += 1

    # Made before, so that nobody else can read it for a moment.
    target.touch(mode=0o600)
    program = tool.start(
        "pg_dump", url, arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        said = tools.follow(program, heard)
    except BaseException:
        program.kill()
        program.wait()
        raise
    tools.finish(program, "pg_dump", said)


def _pattern(name: str) -> str:
    # Quoted, so that pg_dump takes it as it is and not as a pattern.
    return f'"{name}"'


def _sealed(described: Manifest, dump: Path) -> Manifest:
    with dump.open("rb") as file:
        os.fsync(file.fileno())
    return dataclasses.replace(
        described, dump_bytes=dump.stat().st_size, dump_sha256=manifest.sha256(dump)
    )
