"""Telling open pages that something changed: one look for all of them, and no trigger anywhere.

Postgres's own snapshot is the change counter: it differs from the last one whenever any transaction
that wrote has begun or ended. Reading it costs microseconds, on a connection that is there anyway,
and nothing is added to what a job writes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Literal

from anyio import CapacityLimiter, to_thread
from sse_starlette import ServerSentEvent

from taskhub.queue import Hub

logger = logging.getLogger("taskhub.dashboard")

LOOK_SECONDS = 0.25
# Pages that change all the time are drawn anew this often; a first change is told at once.
QUIET_SECONDS = 0.75
AWAY_LOOK_SECONDS = 1.0
RETRY_MILLISECONDS = 1000

Event = Literal["hello", "changed", "away"]


class Pulse:
    """Looks at the database while anybody is there to be told, and tells all of them.

    Attributes:
        generation: grows with every change that was seen.
        is_away: whether the last look failed.
    """

    def __init__(self, reader: Hub, turn: CapacityLimiter) -> None:
        self._reader = reader
        self._turn = turn
        self._listeners: set[asyncio.Queue[Event]] = set()
        self._looking: asyncio.Task[None] | None = None
        self._looked = asyncio.Event()
        self.generation = 0
        self.is_away = False

    async def events(self) -> AsyncIterator[ServerSentEvent]:
        """What one page is told, for as long as it is open."""
        queue: asyncio.Queue[Event] = asyncio.Queue(maxsize=2)
        self._listeners.add(queue)
        if self._looking is None or self._looking.done():
            self._looked = asyncio.Event()
            self._looking = asyncio.create_task(self._look(self._looked))
        try:
            # What changes after the page is drawn at this greeting must differ from something seen.
            await self._looked.wait()
            yield ServerSentEvent(
                event="away" if self.is_away else "hello", data="", retry=RETRY_MILLISECONDS
            )
            while True:
                yield ServerSentEvent(event=await queue.get(), data=str(self.generation))
        finally:
            self._listeners.discard(queue)
            if not self._listeners and self._looking is not None:
                self._looking.cancel()
                self._looking = None

    async def _look(self, looked: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        seen: str | None = None
        told_at = 0.0
        while True:
            now = await self._ask()
            if not looked.is_set():
                # Nobody has looked for a while: what was drawn meanwhile is not of now.
                self.generation += 1
                looked.set()
            if now is None:
                seen = None
                if not self.is_away:
                    self.is_away = True
                    self._tell("away")
                await asyncio.sleep(AWAY_LOOK_SECONDS)
                continue
            was_away, self.is_away = self.is_away, False
            if was_away or (seen is not None and now != seen):
                if (wait := told_at + QUIET_SECONDS - loop.time()) > 0:
                    await asyncio.sleep(wait)
                    # What came in the meantime is told with it.
                    now = await self._ask() or now
                self.generation += 1
                self._tell("changed")
                told_at = loop.time()
            seen = now
            await asyncio.sleep(LOOK_SECONDS)

    async def _ask(self) -> str | None:
        return await to_thread.run_sync(self._snapshot, limiter=self._turn)

    def _snapshot(self) -> str | None:
        try:
            [row] = self._reader.read("read_snapshot")
        except Exception as error:  # noqa: BLE001 - whatever it is, pages are told and it is tried again
            if not self.is_away:
                logger.warning(
                    "the database is away", extra={"reason": " ".join(str(error).split())[:200]}
                )
            return None
        return str(row["snapshot"])

    def _tell(self, event: Event) -> None:
        for queue in self._listeners:
            # A page that has not taken the last two yet will see all of it when it draws.
            with contextlib.suppress(asyncio.QueueFull):
                queue.put_nowait(event)
