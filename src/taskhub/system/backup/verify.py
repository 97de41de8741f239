"""Prove a backup: restore it into a scratch database and compare every table with the manifest."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from psycopg import sql
from sqlalchemy.engine import URL

from taskhub import db
from taskhub.system.backup import contents, manifest, tools
from taskhub.system.backup.contents import Told
from taskhub.system.backup.load import load


@dataclass(frozen=True, slots=True)
class Verified:
    """What the comparison found; `differences` is empty when the backup is whole."""

    tables: int
    rows: int
    differences: tuple[str, ...]


def verify(server: URL, dump: Path, told: Told = lambda *_: None) -> Verified:
    """Restore `dump` into a database made for it on `server`, compare, and drop that database again.

    Raises:
        BadBackup: the file is not the one that its manifest describes.
        ToolFailed: it cannot be restored.
        NoTools: no psql fits the server.
    """
    described = manifest.read(dump)
    told("reading the file", 0, len(described.tables))
    manifest.check(described, dump)
    with _scratch(server) as (url, server_version):
        load(url, dump, described, tools.find(server_version), told=told)
        with contents.connect(db.conninfo(url)) as connection:
            found = contents.tables(
                connection, described.schemas, lambda *a: told(f"comparing {a[0]}", *a[1:])
            )
    return Verified(len(found), sum(t.rows for t in found.values()), _differences(described, found))


def _differences(
    described: manifest.Manifest, found: dict[str, contents.TableContents]
) -> tuple[str, ...]:
    told = []
    for name, wanted in described.tables.items():
        got = found.get(name)
        if got is None:
            told.append(f"{name} is missing")
        elif got.rows != wanted.rows:
            told.append(f"{name} has {got.rows} rows and not {wanted.rows}")
        elif got.checksum != wanted.checksum:
            told.append(f"{name} has other values in its {got.rows} rows")
    told += [f"{name} was not there" for name in found if name not in described.tables]
    return tuple(told)


@contextmanager
def _scratch(server: URL) -> Iterator[tuple[URL, int]]:
    """The url of an empty database of its own, dropped at the end, and the server's version."""
    name = f"taskhub_verify_{os.getpid()}_{secrets.token_hex(4)}"
    with contents.connect(db.conninfo(server)) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name))
        )
        try:
            yield server.set(database=name), connection.info.server_version
        finally:
            connection.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
            )
