"""The worker's own calls without a worker: to look at them, and to repeat them."""

import asyncio
from collections.abc import Mapping
from typing import Any, cast

import psycopg

from taskhub.queue import lease
from taskhub.queue.tick import Answer, Ticker

SCHEMA = "taskhub"
QUEUE = "bench"
TASKS = ("noop", "noop_thread", "noop_lock", "settle")


class Rows:
    """An answer that is already here."""

    def __init__(self, rows: list[tuple[Any, ...]]) -> None:
        self._rows = rows

    async def fetchall(self) -> list[tuple[Any, ...]]:
        """All of it."""
        return self._rows

    async def fetchone(self) -> tuple[Any, ...] | None:
        """The first of it."""
        return self._rows[0] if self._rows else None


class Recorder:
    """Stands in for the worker's connection, and keeps the last call that went through it."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection
        self.query = ""
        self.parameters: Mapping[str, Any] = {}

    async def execute(self, query: str, parameters: Mapping[str, Any]) -> Rows:
        """As the connection does it."""
        self.query, self.parameters = query, parameters
        self.before()
        return Rows(self.connection.execute(query.encode(), parameters).fetchall())

    def before(self) -> None:
        """What a look at the call does just before it."""


class Claimer:
    """A registered worker that claims when told, and runs nothing."""

    def __init__(self, recorder: Recorder, *queues: str) -> None:
        self._recorder = cast("psycopg.AsyncConnection[Any]", recorder)
        registered = asyncio.run(
            lease.register(
                self._recorder,
                SCHEMA,
                name="bench",
                queues=queues or [QUEUE],
                tasks=TASKS,
                concurrency=1,
                lease_seconds=3600,
            )
        )
        self.worker_id = registered.worker_id
        self._ticker = Ticker(SCHEMA, registered.worker_id, queues or [QUEUE])

    def claim(self, slots: int, *, must_sweep: bool = False) -> Answer:
        """One tick with nothing to store."""
        return asyncio.run(self._ticker.tick(self._recorder, [], slots, must_sweep=must_sweep))
