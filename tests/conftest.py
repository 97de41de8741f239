"""One Postgres for the whole run, a template that is migrated once, and what each test gets of it."""

import itertools
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import Connection, Engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session

from taskhub import Hub, db, embedded, migrations
from taskhub.settings import Settings

TEMPLATE = "taskhub_test_template"
# Durability is not under test here; tests that cut the power start a server of their own.
LAX = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_wal_size": "256MB",  # it may lie in memory
}
# A copy of the template is some 400 files: in memory 20 ms of CPU, on a busy disk up to 400 ms.
IN_MEMORY = Path("/dev/shm")  # noqa: S108 - the server makes a private directory in it
ROOM_BYTES = 1 << 30
# The outside of every test: what the developer's shell says must not reach the code under test.
for variable in [
    v for v in os.environ if v.startswith("TASKHUB_") and v != "TASKHUB_TEST_DATABASE_URL"
]:
    del os.environ[variable]
# Many images forbid bytecode. Then each of the run's processes would compile every library that it
# imports, and pytest every test in each of its workers: half of the time that the run takes.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# Each takes a good part of a minute: at the end of a run the other workers would stand idle.
FIRST = {"test_engine_model.py", "test_readme.py"}

_numbers = itertools.count(1)
_stack = ExitStack()
_server = pytest.StashKey[str]()
_left_out = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    """Start the server in the one process that starts the others."""
    given = getattr(config, "workerinput", None)
    if given is not None:
        config.stash[_server], config.stash[_left_out] = given["server"], given["left_out"]
        return
    if config.option.collectonly or config.option.help:
        return
    url = os.environ.get("TASKHUB_TEST_DATABASE_URL")
    if url is None:
        url = _stack.enter_context(embedded.scratch(_roomy(), **LAX))
    config.stash[_server] = url
    config.stash[_left_out] = _make_template(url)


def _roomy() -> Path:
    """Memory if there is enough of it, else where temporary files go; a container has 64 MB."""
    usable = IN_MEMORY.is_dir() and os.access(IN_MEMORY, os.W_OK)
    if usable and shutil.disk_usage(IN_MEMORY).free >= ROOM_BYTES:
        return IN_MEMORY
    return Path(tempfile.gettempdir())


def pytest_configure_node(node: object) -> None:
    """Tell each xdist worker where the server is."""
    node.workerinput["server"] = node.config.stash[_server]  # type: ignore[attr-defined]  # xdist has no types
    node.workerinput["left_out"] = node.config.stash[_left_out]  # type: ignore[attr-defined]  # as above


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest tests."""
    items.sort(key=lambda item: item.path.name not in FIRST)


def pytest_unconfigure() -> None:
    """Stop the server with the run."""
    _stack.close()


def _make_template(url: str) -> str:
    """Migrate the database that all others are copies of; one line for what the server cannot hold."""
    _drop(url, TEMPLATE)
    _create(url, TEMPLATE, "template0")
    settings = Settings()
    engine = db.engine(db.address(_named(url, TEMPLATE)), settings)
    report = migrations.upgrade(engine, settings)
    engine.dispose()
    return "; ".join(report.left_out)


def _named(url: str, name: str) -> str:
    return make_url(url).set(database=name).render_as_string(hide_password=False)


@cache
def _admin(url: str) -> psycopg.Connection:
    """One connection for all databases that this process makes: each of its own would cost as much."""
    return _stack.enter_context(psycopg.connect(db.conninfo(db.address(url)), autocommit=True))


def _create(url: str, name: str, template: str) -> None:
    _admin(url).execute(
        sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(
            sql.Identifier(name), sql.Identifier(template)
        )
    )


def _drop(url: str, name: str) -> None:
    _admin(url).execute(
        sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
    )


@pytest.fixture(scope="session")
def server(pytestconfig: pytest.Config) -> str:
    """The url of a database of the server, for making others."""
    return pytestconfig.stash[_server]


def _fresh(server: str, template: str) -> Iterator[str]:
    name = f"taskhub_test_{os.getpid()}_{next(_numbers)}"
    _create(server, name, template)
    yield _named(server, name)
    _drop(server, name)


@pytest.fixture
def database(server: str) -> Iterator[str]:
    """The url of a migrated database of the test's own, for tests that commit."""
    yield from _fresh(server, TEMPLATE)


@pytest.fixture
def empty_database(server: str) -> Iterator[str]:
    """The url of a database with nothing in it."""
    yield from _fresh(server, "template0")


@pytest.fixture
def settings(database: str) -> Settings:
    """Settings that name the test's own database, with short times."""
    return Settings(database_url=database, concurrency=4, poll_seconds=0.2, lease_seconds=10)


@pytest.fixture
def hub(settings: Settings) -> Iterator[Hub]:
    """A hub without tasks on the test's own database."""
    made = Hub(settings=settings)
    yield made
    made.close()


@pytest.fixture(scope="session")
def _shared(server: str) -> Iterator[Engine]:
    for url in _fresh(server, TEMPLATE):
        engine = db.engine(db.address(url), Settings())
        yield engine
        engine.dispose()


@pytest.fixture
def connection(_shared: Engine) -> Iterator[Connection]:
    """A connection to a migrated database, rolled back at the end."""
    with _shared.connect() as opened:
        opened.execute(text("BEGIN"))
        yield opened
        opened.rollback()


@pytest.fixture
def pgvector(pytestconfig: pytest.Config) -> None:
    """For tests of the index itself: the server must have pgvector. All else works without."""
    if left_out := pytestconfig.stash[_left_out]:
        pytest.skip(left_out)


@pytest.fixture
def session(connection: Connection) -> Iterator[Session]:
    """A Session on a migrated database; whatever it commits is rolled back at the end."""
    with Session(connection, join_transaction_mode="create_savepoint") as opened:
        yield opened
