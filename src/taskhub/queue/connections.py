"""What a hub stands on: its settings, its database's address, the pools to it, one statement's rows."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, RowMapping
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncEngine

from taskhub import db, embedded
from taskhub import settings as settings_module
from taskhub.queue import progress, sql
from taskhub.queue.progress import Report, Reporter
from taskhub.queue.results import Lookout
from taskhub.settings import Settings

if TYPE_CHECKING:
    from taskhub.queue.context import Context


class Connections:
    """One database; nothing is opened before it is needed."""

    def __init__(self, database_url: str | None, settings: Settings | None) -> None:
        self._database_url = database_url
        self._settings = settings
        self._async_engines: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncEngine] = (
            weakref.WeakKeyDictionary()
        )

    @cached_property
    def settings(self) -> Settings:
        """The settings it was given, or as they are found at first use."""
        if self._settings is not None:
            return self._settings
        return settings_module.load({"database_url": self._database_url})

    @cached_property
    def url(self) -> URL:
        """The database's address; "embedded" starts the server if it is down.

        Raises:
            NoDatabase: none is named anywhere.
        """
        wanted = self._database_url or self.settings.database_url
        return db.address(embedded.url(self.settings) if wanted == "embedded" else wanted)

    @cached_property
    def engine(self) -> Engine:
        """A pool of synchronous connections."""
        return db.engine(self.url, self.settings, pool_size=self.settings.concurrency + 3)

    @cached_property
    def autocommit(self) -> Engine:
        """The same connections outside of any transaction: each statement stands by itself."""
        return self.engine.execution_options(isolation_level="AUTOCOMMIT")

    @cached_property
    def lookout(self) -> Lookout:
        """Who looks for all that wait for jobs."""
        return Lookout(lambda job_ids: self.read("read_results", job_ids=list(job_ids)))

    @cached_property
    def reporter(self) -> Reporter:
        """Who stores how far jobs are; in a child process it tells the worker."""

        def send(reports: Sequence[tuple[Context, Report]]) -> None:
            self.write("report_progress", reports=progress.as_json(reports))

        return Reporter(send)

    @property
    def async_engine(self) -> AsyncEngine:
        """A pool of asynchronous connections, one for each event loop."""
        loop = asyncio.get_running_loop()
        if loop not in self._async_engines:
            self._async_engines[loop] = db.async_engine(
                self.url, self.settings, pool_size=self.settings.concurrency + 3
            )
        return self._async_engines[loop]

    def close(self) -> None:
        """Close the synchronous pool; the hub opens it anew when it is used again."""
        if "engine" in self.__dict__:
            self.engine.dispose()

    async def close_async(self) -> None:
        """Close the pools of this event loop, and the synchronous one."""
        await self._leave_loop()
        self.close()

    async def _leave_loop(self) -> None:
        if (pool := self._async_engines.pop(asyncio.get_running_loop(), None)) is not None:
            await pool.dispose()

    def read(self, statement: str, /, **parameters: Any) -> list[RowMapping]:
        """The rows of one of the queue's statements, on a connection of its own, not in any transaction."""
        with self.autocommit.connect() as connection:
            query = sql.load(statement, self.settings.schema)
            return list(connection.exec_driver_sql(query, parameters).mappings())

    def read_one(self, statement: str, /, **parameters: Any) -> RowMapping | None:
        """The first row, or None."""
        return next(iter(self.read(statement, **parameters)), None)

    write = read
    write_one = read_one
