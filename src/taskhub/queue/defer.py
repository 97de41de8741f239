"""One INSERT on the caller's own transaction: SQLAlchemy on any driver, or psycopg."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import psycopg
from sqlalchemy import Connection, TextClause, text
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import Session, scoped_session

from taskhub.queue import sql
from taskhub.settings import Settings

LOCAL = frozenset({"", "localhost", "127.0.0.1", "::1"})
# Where servers put their socket unless told otherwise.
_SOCKETS = ("/var/run/postgresql", "/tmp")  # noqa: S108 - a name that is compared, never opened
ROWS_A_STATEMENT = 1000


class OtherDatabase(ValueError):
    """The session or connection is not one to the hub's database; nothing was sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """One row of procrastinate_jobs before it exists; `args` is the text of a JSON object."""

    queue_name: str
    task_name: str
    priority: int
    lock: str | None
    queueing_lock: str | None
    args: str
    delay_seconds: float | None
    at: datetime | None


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
            with target.cursor() as cursor:
                return [i for part in _parts(jobs) for (i,) in cursor.execute(self._driver(), part)]
        if isinstance(target, psycopg.AsyncConnection | AsyncSession | AsyncConnection):
            raise TypeError(
                f"{type(target).__name__} is asynchronous; use `await task.defer_async(...)`"
            )
        connection = self._sync_connection(target)
        statement = self._statement()
        return [i for part in _parts(jobs) for i in connection.scalars(statement, part)]

    async def insert_async(self, target: Any, jobs: Sequence[NewJob]) -> list[int]:
        """As `insert`, also on asynchronous sessions and connections; a sync one blocks the loop."""
        if isinstance(target, psycopg.AsyncConnection):
            self._check(target.info.host, target.info.port, target.info.dbname)
            async with target.cursor() as cursor:
                ids: list[int] = []
                for part in _parts(jobs):
                    await cursor.execute(self._driver(), part)
                    ids += [row[0] for row in await cursor.fetchall()]
                return ids
        if isinstance(target, AsyncSession | AsyncConnection):
            self._check_bind(target)
            connection = await target.connection() if isinstance(target, AsyncSession) else target
            statement = self._statement()
            return [i for part in _parts(jobs) for i in await connection.scalars(statement, part)]
        return self.insert(target, jobs)

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

    def _driver(self) -> str:
        return sql.load("insert_jobs", self.settings.schema)

    def _statement(self) -> TextClause:
        # The one statement serves every driver: its only parameter is text.
        return text(
            self._driver().replace("%(jobs)s::text", "CAST(:jobs AS text)").replace("::", r"\:\:")
        )


def _parts(jobs: Sequence[NewJob]) -> list[dict[str, str]]:
    """The parameters of each statement that is needed."""
    rows = [
        asdict(job) | {"at": job.at.isoformat() if job.at is not None else None} for job in jobs
    ]
    return [
        {"jobs": json.dumps(rows[n : n + ROWS_A_STATEMENT], ensure_ascii=False)}
        for n in range(0, len(rows), ROWS_A_STATEMENT)
    ]


def _place(host: str) -> str:
    return "local" if host in LOCAL or host in _SOCKETS else host
