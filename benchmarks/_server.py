"""The Postgres under the benchmarks: one of their own, with fsync on, or BENCH_DATABASE_URL's."""

import itertools
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from taskhub import embedded

_numbers = itertools.count(1)
_SHOWN = ("fsync", "synchronous_commit", "shared_buffers", "max_wal_size")


class Server:
    """A server, and databases on it that live as long as a measurement."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._templates: dict[str, str] = {}

    def run(self, statement: sql.Composed) -> None:
        """One statement that cannot be in a transaction."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(statement)

    def named(self, database: str) -> str:
        """The address of another database of this server."""
        return urlunsplit(urlsplit(self.url)._replace(path=f"/{database}"))

    @contextmanager
    def database(self, kind: str, prepare: Callable[[str], None]) -> Iterator[str]:
        """The address of a fresh database that `prepare` has laid out, once for each kind."""
        if kind not in self._templates:
            template = f"bench_{kind}_{os.getpid()}"
            self._create(template, "template0")
            prepare(self.named(template))
            self._templates[kind] = template
        name = f"bench_{os.getpid()}_{next(_numbers)}"
        self._create(name, self._templates[kind])
        try:
            yield self.named(name)
        finally:
            self._drop(name)

    def settle(self, url: str) -> None:
        """Give both sides of a pair the same start: swept, counted, nothing left to write."""
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("VACUUM (ANALYZE)")
            connection.execute("CHECKPOINT")

    def described(self) -> str:
        """Version and the settings that decide, for the table."""
        with psycopg.connect(self.url) as connection:
            version = connection.execute("SHOW server_version").fetchone()
            shown = []
            for name in _SHOWN:
                row = connection.execute(sql.SQL("SHOW {}").format(sql.Identifier(name))).fetchone()
                shown.append(f"{name} {row[0] if row else '?'}")
        return f"PostgreSQL {version[0] if version else '?'} ({', '.join(shown)})"

    def drop_templates(self) -> None:
        """Leave a server that is not ours as it was."""
        while self._templates:
            self._drop(self._templates.popitem()[1])

    def _create(self, name: str, template: str) -> None:
        names = (sql.Identifier(name), sql.Identifier(template))
        self.run(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(*names))

    def _drop(self, name: str) -> None:
        self.run(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


@contextmanager
def server(**settings: str) -> Iterator[Server]:
    """A server with durable commits; `settings` are Postgres's own and go to our own server only.

    BENCH_DATABASE_URL names another one, as a role that may create databases.
    """
    # SIGTERM would leave a server behind, and a worker that still runs.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    given = os.environ.get("BENCH_DATABASE_URL")
    if given:
        found = Server(given)
        try:
            yield found
        finally:
            found.drop_templates()
        return
    with embedded.scratch(Path(tempfile.gettempdir()), fsync="on", **settings) as url:
        yield Server(url)
