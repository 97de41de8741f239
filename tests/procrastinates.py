"""procrastinate beside us: schemas of its older versions, Apps on them, and what a schema is made of."""

import asyncio
from pathlib import Path
from typing import Any

import procrastinate
from procrastinate import PsycopgConnector
from sqlalchemy import Connection, Engine, text
from sqlalchemy.engine import URL

from taskhub import db

SQL = Path(procrastinate.__file__).parent / "sql"
# The last migration of each version; from 3.4 to 3.10 the schema did not change.
VERSIONS = {
    "3.0 before its post-migration": "03.00.00_01",
    "3.0": "03.00.00_50",
    "3.1": "03.01.00_50",
    "3.2": "03.02.00_50",
    "3.3": "03.03.00_01",
    "3.4 before its post-migration": "03.04.00_01",
    "3.4 to 3.10": "03.04.00_50",
}
# One line for each thing in the schema at the head of the path, but for those of extensions.
DESCRIBE = Path(__file__).with_name("describe_schema.sql")


def build(engine: Engine, version: str, schema: str = "public") -> None:
    """The schema of a version of procrastinate, from its own migrations."""
    last = VERSIONS[version]
    for path in sorted((SQL / "migrations").glob("*.sql")):
        if path.name[: len(last)] <= last:
            # One after the other: up to PostgreSQL 16 none may use an enum's value that it has added.
            with engine.begin() as connection:
                _enter(connection, schema)
                _run(connection, path.read_text())


def build_newest(engine: Engine, schema: str) -> None:
    """The schema that the installed procrastinate makes."""
    with engine.begin() as connection:
        _enter(connection, schema)
        _run(connection, (SQL / "schema.sql").read_text())


def describe(engine: Engine, schema: str) -> list[str]:
    """Everything in a schema, as text in which the schema's name does not occur."""
    with engine.begin() as connection:
        connection.execute(text(f"SET LOCAL search_path = {schema}"))
        found = connection.exec_driver_sql(DESCRIBE.read_text().replace("%", "%%")).scalars()
        return [line.replace(f"{schema}.", "") for line in found]


def app_on(url: URL, schema: str = "public") -> procrastinate.App:
    """An App on a schema, as procrastinate's documentation makes it."""
    kwargs = {"options": f"-c search_path={schema}"}
    return procrastinate.App(connector=PsycopgConnector(conninfo=db.conninfo(url), kwargs=kwargs))


def work(app: procrastinate.App, **options: Any) -> None:
    """Run procrastinate's own worker until no job is ready."""
    asyncio.run(_work(app, {"wait": False, "install_signal_handlers": False, **options}))


async def _work(app: procrastinate.App, options: Any) -> None:
    async with app.open_async():
        await app.run_worker_async(**options)


def _enter(connection: Connection, schema: str) -> None:
    connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {schema}"))
    connection.execute(text(f"SET LOCAL search_path = {schema}"))


def _run(connection: Connection, script: str) -> None:
    connection.exec_driver_sql(script.replace("%", "%%"))
