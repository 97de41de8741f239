"""A Postgres cluster of a test's own, which the test stops, kills and starts again."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from procrastinate import schema as procrastinate_schema
from psycopg.rows import dict_row

from taskhub import db, embedded, migrations
from taskhub.embedded import server
from taskhub.embedded.account import account_for
from taskhub.embedded.place import CLUSTER, Place
from taskhub.settings import Settings
from tests.waiting import until

# Nobody cuts the power of the machine here, so what Postgres has written is safe without fsync.
SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
}
# What the tests add to the migrated schema: the effects of jobs, written through hub.transaction().
EFFECTS = "CREATE TABLE effects (job_id bigint NOT NULL, claim integer NOT NULL)"


@dataclass(frozen=True, slots=True)
class Cluster:
    """One server with two databases: `taskhub`, migrated, and `plain`, procrastinate's own."""

    place: Place

    @property
    def url(self) -> str:
        return server.url(self.place.sockets)

    @property
    def plain_url(self) -> str:
        """The database with procrastinate's own schema, for the faults as they are there."""
        return self.url.replace("/taskhub?", "/plain?")

    def start(self) -> None:
        """Start it on its old data directory and port, and wait until it takes connections."""
        server.start(self.place, SETTINGS)

    def stop(self, mode: str = "fast") -> None:
        """Stop it: `immediate` is a crash that needs recovery."""
        server.stop(self.place, mode)

    def kill(self) -> None:
        """kill -9 of the postmaster alone; its backends find out by themselves."""
        seen = server.look(self.place)
        assert seen is not None
        os.kill(seen.pid, signal.SIGKILL)
        until(lambda: not seen.runs, "the end of the postmaster")

    def connect(self, *, autocommit: bool = True) -> psycopg.Connection[dict[str, Any]]:
        """A connection of the superuser."""
        return psycopg.connect(self.conninfo, autocommit=autocommit, row_factory=dict_row)

    @property
    def conninfo(self) -> str:
        return db.conninfo(db.address(self.url))

    def rows(self, query: str, *given: Any) -> list[dict[str, Any]]:
        with self.connect() as connection:
            return connection.execute(query, given or None).fetchall()

    def run(self, statement: str, *given: Any) -> None:
        with self.connect() as connection:
            connection.execute(statement, given or None)

    def one(self, query: str, *given: Any) -> Any:
        """The first column of the first row, None where there is no row."""
        found = self.rows(query, *given)
        return next(iter(found[0].values())) if found else None


@dataclass(frozen=True, slots=True)
class Mould:
    """A migrated cluster, stopped; each test gets a copy of it."""

    place: Place

    @contextmanager
    def cast(self) -> Iterator[Cluster]:
        """A running copy; all is gone at the end."""
        with _folder() as place:
            _as_account(place, "cp", "-a", str(self.place.data), str(place.data))
            made = Cluster(place)
            try:
                made.start()
                yield made
            finally:
                made.stop("immediate")


@contextmanager
def mould() -> Iterator[Mould]:
    """Make the cluster that the others are copies of; some seconds, once."""
    with _folder() as place:
        embedded.cluster.create(place, durable=False)
        made = Cluster(place)
        made.start()
        try:
            settings = Settings()
            engine = db.engine(db.address(made.url), settings)
            migrations.upgrade(engine, settings)
            engine.dispose()
            made.run(EFFECTS)
            made.run("CREATE DATABASE plain")
            with psycopg.connect(db.conninfo(db.address(made.plain_url))) as connection:
                connection.execute(_plain_schema())
        finally:
            made.stop()
        yield Mould(place)


def _plain_schema() -> bytes:
    text = Path(procrastinate_schema.__file__).with_name("sql") / "schema.sql"
    return text.read_bytes()


@contextmanager
def _folder() -> Iterator[Place]:
    account = account_for(Path(tempfile.gettempdir()))
    folder = Path(tempfile.mkdtemp(prefix="taskhub-faults-"))
    if not account.is_caller:
        os.chown(folder, account.uid, account.gid)
    place = Place(folder / CLUSTER, account)
    try:
        place.prepare()
        yield place
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(place.sockets, ignore_errors=True)


def _as_account(place: Place, *argv: str) -> None:
    done: subprocess.CompletedProcess[str] = place.account.run(argv)
    assert done.returncode == 0, done.stderr


def wait_for_lock(cluster: Cluster, blocker: int, seconds: float = 60.0) -> Sequence[int]:
    """The pids of the backends that wait for what backend `blocker` holds."""
    query = "SELECT pid FROM pg_stat_activity WHERE %s = ANY (pg_blocking_pids(pid))"
    return until(
        lambda: [row["pid"] for row in cluster.rows(query, blocker)],
        "waiting for a lock",
        seconds=seconds,
    )
