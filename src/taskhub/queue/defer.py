"""Jobs stored in the caller's own transaction: SQLAlchemy on any driver, or psycopg."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import psycopg
from psycopg.rows import tuple_row
from sqlalchemy import Connection, TextClause, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import Session, scoped_session

from taskhub.queue import copy, sql
from taskhub.queue.rows import NewJob, insert_parameters
from taskhub.settings import Settings

__all__ = ["Deferrer", "NewJob", "OtherDatabase"]

LOCAL = frozenset({"", "localhost", "127.0.0.1", "::1"})
# Where servers put their socket unless told otherwise.
_SOCKETS = ("/var/run/postgresql", "/tmp")  # noqa: S108 - a name that is compared, never opened


class OtherDatabase(ValueError):
    """The session or connection is not one to the hub's database; nothing was sent."""


@dataclass(frozen=True, slots=True)
class Deferrer:
    """Writes jobs to the database of `url`, on whatever connection it is given."""

    url: URL
    settings: Settings

    def insert(self, target: Any, jobs: Sequence[NewJob]) -> list[int]:
        """The new jobs' ids, in their order, written in the transaction that `target` has.

        Raises:
            TypeError: `target` is asynchronous, or no session or connection at all.
            OtherDatabase: it is one to another database.
        """
        if isinstance(target, psycopg.Connection):
            self._check(target.info.host, target.info.port, target.info.dbname)
            return self._insert_by_psycopg(target, jobs)
        if isinstance(target, psycopg.AsyncConnection | AsyncSession | AsyncConnection):
            raise TypeError(
                f"{type(target).__name__} is asynchronous; use `await task.defer_async(...)`"
            )
        connection = self._sync_connection(target)
        driver = connection.connection.driver_connection if len(jobs) > 1 else None
        if isinstance(driver, psycopg.Connection) and copy.fits(driver, jobs):
            # By way of SQLAlchemy, so that it knows of the transaction that the copy then joins.
            reserved = connection.exec_driver_sql(self._sql("reserve_jobs"), copy.reservation(jobs))
            row = reserved.one()
            with _errors_of(connection):
                copy.store(driver, self.settings.schema, jobs, row.ids, (row.due, row.expires))
            return list(row.ids)
        return [i for part in insert_parameters(jobs) for i in self._insert(connection, part)]

    async def insert_async(self, target: Any, jobs: Sequence[NewJob]) -> list[int]:
        """As `insert`, also on asynchronous sessions and connections; a sync one blocks the loop."""
        if isinstance(target, psycopg.AsyncConnection):
            self._check(target.info.host, target.info.port, target.info.dbname)
            return await self._insert_by_async_psycopg(target, jobs)
        if not isinstance(target, AsyncSession | AsyncConnection):
            return self.insert(target, jobs)
        self._check_bind(target)
        connection = await target.connection() if isinstance(target, AsyncSession) else target
        driver = (await connection.get_raw_connection()).driver_connection
        if isinstance(driver, psycopg.AsyncConnection) and copy.fits(driver, jobs):
            reserved = await connection.exec_driver_sql(
                self._sql("reserve_jobs"), copy.reservation(jobs)
            )
            row = reserved.one()
            with _errors_of(connection):
                await copy.store_async(
                    driver, self.settings.schema, jobs, row.ids, (row.due, row.expires)
                )
            return list(row.ids)
        stored: list[int] = []
        for part in insert_parameters(jobs):
            stored += await connection.run_sync(self._insert, part)
        return stored

    def _insert(self, connection: Connection, part: dict[str, str]) -> Sequence[int]:
        if connection.dialect.paramstyle == "pyformat":
            # What SQLAlchemy would prepare for other drivers costs as much as half the round trip.
            return connection.exec_driver_sql(self._sql("insert_jobs"), part).scalars().all()
        return connection.scalars(_for_any_driver(self.settings.schema), part).all()

    def _insert_by_psycopg(
        self, connection: psycopg.Connection[Any], jobs: Sequence[NewJob]
    ) -> list[int]:
        # The connection's own cursor may be of any class, and give rows of any kind.
        with psycopg.Cursor(connection, row_factory=tuple_row) as cursor:
            if copy.fits(connection, jobs):
                cursor.execute(self._sql("reserve_jobs"), copy.reservation(jobs))
                [(ids, *times)] = cursor.fetchall()
                copy.store(connection, self.settings.schema, jobs, ids, (times[0], times[1]))
                return list(ids)
            statement = self._sql("insert_jobs")
            parts = insert_parameters(jobs)
            return [job_id for part in parts for (job_id,) in cursor.execute(statement, part)]

    async def _insert_by_async_psycopg(
        self, connection: psycopg.AsyncConnection[Any], jobs: Sequence[NewJob]
    ) -> list[int]:
        async with psycopg.AsyncCursor(connection, row_factory=tuple_row) as cursor:
            if copy.fits(connection, jobs):
                await cursor.execute(self._sql("reserve_jobs"), copy.reservation(jobs))
                [(ids, *times)] = await cursor.fetchall()
                await copy.store_async(
                    connection, self.settings.schema, jobs, ids, (times[0], times[1])
                )
                return list(ids)
            stored: list[int] = []
            for part in insert_parameters(jobs):
                await cursor.execute(self._sql("insert_jobs"), part)
                stored += [job_id for (job_id,) in await cursor.fetchall()]
            return stored

    def _sql(self, name: str) -> str:
        return sql.load(name, self.settings.schema)

    def _sync_connection(self, target: Any) -> Connection:
        if not isinstance(target, Session | scoped_session | Connection):
            raise TypeError(
                "session must be a SQLAlchemy Session, AsyncSession or Connection, and connection a "
                f"psycopg connection, got {type(target).__name__}"
            )
        self._check_bind(target)
        return target if isinstance(target, Connection) else target.connection()

    def _check_bind(self, target: Any) -> None:
        bind = (
            target.engine if isinstance(target, Connection | AsyncConnection) else target.get_bind()
        )
        url = bind.engine.url
        if url.get_backend_name() != "postgresql":
            raise OtherDatabase(
                f"the session must be one to PostgreSQL, got {url.get_backend_name()}"
            )
        host = url.host or url.query.get("host") or ""
        port = url.port or url.query.get("port") or 5432
        self._check(str(host), int(str(port)), url.database or "")

    def _check(self, host: str, port: int, database: str) -> None:
        mine = (
            self.url.host or self.url.query.get("host") or "",
            self.url.port or self.url.query.get("port") or 5432,
        )
        if (_place(host), port, database) == (
            _place(str(mine[0])),
            int(str(mine[1])),
            self.url.database,
        ):
            return
        name = f"{host}:{port}/{database}"
        if name in self.settings.database_aliases:  # the same database by another way: a pooler
            return
        raise OtherDatabase(
            f"the session is one to {name}, the hub's database is {mine[0]}:{mine[1]}/{self.url.database}; "
            "pass a session of that database, or name this one in TASKHUB_DATABASE_ALIASES "
            "if both are the same behind a pooler"
        )


@cache
def _for_any_driver(schema: str) -> TextClause:
    """insert_jobs as SQLAlchemy runs it on every driver: its only parameter is text."""
    statement = sql.load("insert_jobs", schema)
    return text(statement.replace("%(jobs)s::text", "CAST(:jobs AS text)").replace("::", r"\:\:"))


@contextmanager
def _errors_of(connection: Connection | AsyncConnection) -> Iterator[None]:
    """Raise a driver's errors as SQLAlchemy's, which the code around a session expects."""
    try:
        yield
    except psycopg.Error as error:
        raise DBAPIError.instance(
            "COPY procrastinate_jobs", None, error, psycopg.Error, dialect=connection.dialect
        ) from error


def _place(host: str) -> str:
    return "local" if host in LOCAL or host in _SOCKETS else host
