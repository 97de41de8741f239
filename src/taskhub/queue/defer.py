"""Jobs stored in the caller's own transaction: SQLAlchemy on any driver, or psycopg."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
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
from taskhub.queue.rows import ROWS_AT_ONCE, NewJob, insert_parameters
from taskhub.queue.unique import JobIds, statement_for
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

    def insert(self, target: Any, jobs: Sequence[NewJob]) -> JobIds:
        """The jobs' ids, in their order, written in the transaction that `target` has.

        Raises:
            TypeError: `target` is asynchronous, or no session or connection at all.
            OtherDatabase: it is one to another database.
            UniqueKeyBusy: another transaction may have taken a unique key; nothing was stored.
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
            return JobIds(row.ids)
        return self._insert(connection, jobs)

    async def insert_async(self, target: Any, jobs: Sequence[NewJob]) -> JobIds:
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
            return JobIds(row.ids)
        return await connection.run_sync(self._insert, jobs)

    def _insert(self, connection: Connection, jobs: Sequence[NewJob]) -> JobIds:
        name, ids = statement_for(jobs), JobIds()
        with _all_or_none(connection, jobs):
            for part in insert_parameters(jobs):
                if connection.dialect.paramstyle == "pyformat":
                    # What SQLAlchemy would prepare for other drivers costs as much as half the round trip.
                    rows = connection.exec_driver_sql(self._sql(name), part)
                else:
                    rows = connection.execute(_for_any_driver(name, self.settings.schema), part)
                ids.take_in(rows.all())
        return ids

    def _insert_by_psycopg(
        self, connection: psycopg.Connection[Any], jobs: Sequence[NewJob]
    ) -> JobIds:
        # The connection's own cursor may be of any class, and give rows of any kind.
        with psycopg.Cursor(connection, row_factory=tuple_row) as cursor:
            if copy.fits(connection, jobs):
                cursor.execute(self._sql("reserve_jobs"), copy.reservation(jobs))
                [(ids, *times)] = cursor.fetchall()
                copy.store(connection, self.settings.schema, jobs, ids, (times[0], times[1]))
                return JobIds(ids)
            statement, ids = self._sql(statement_for(jobs)), JobIds()
            with connection.transaction() if _is_divided(jobs) else nullcontext():
                for part in insert_parameters(jobs):
                    ids.take_in(cursor.execute(statement, part).fetchall())
            return ids

    async def _insert_by_async_psycopg(
        self, connection: psycopg.AsyncConnection[Any], jobs: Sequence[NewJob]
    ) -> JobIds:
        async with psycopg.AsyncCursor(connection, row_factory=tuple_row) as cursor:
            if copy.fits(connection, jobs):
                await cursor.execute(self._sql("reserve_jobs"), copy.reservation(jobs))
                [(ids, *times)] = await cursor.fetchall()
                await copy.store_async(
                    connection, self.settings.schema, jobs, ids, (times[0], times[1])
                )
                return JobIds(ids)
            statement, ids = self._sql(statement_for(jobs)), JobIds()
            async with connection.transaction() if _is_divided(jobs) else nullcontext():
                for part in insert_parameters(jobs):
                    await cursor.execute(statement, part)
                    ids.take_in(await cursor.fetchall())
            return ids

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


def _is_divided(jobs: Sequence[NewJob]) -> bool:
    """Whether one of several statements may be refused, when the others have stored their jobs."""
    return len(jobs) > ROWS_AT_ONCE and jobs[0].unique_key is not None


@contextmanager
def _all_or_none(connection: Connection, jobs: Sequence[NewJob]) -> Iterator[None]:
    """Take back what was stored of a call that is refused later on, and no more than that."""
    driver = connection.connection.dbapi_connection if _is_divided(jobs) else None
    if driver is None or connection.dialect.detect_autocommit_setting(driver):
        yield
        return
    with connection.begin_nested():
        yield


@cache
def _for_any_driver(name: str, schema: str) -> TextClause:
    """A statement as SQLAlchemy runs it on every driver: its only parameter is text."""
    statement = sql.load(name, schema)
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
