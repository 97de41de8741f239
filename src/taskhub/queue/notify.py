"""LISTEN: a hint that jobs came. What it carries is never trusted, and polling goes on beside it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import secrets
from collections.abc import Callable
from typing import Any

import psycopg
from psycopg import sql

from taskhub import db
from taskhub.queue.retries import Backoff
from taskhub.queue.storable import MAX_NAME_BYTES
from taskhub.settings import Settings

logger = logging.getLogger("taskhub.notify")

# With its random half longer than any queue name, so that no queue can be mistaken for a test.
TEST_PREFIX = "taskhub tests its hearing "
SETUP_SECONDS = 20.0
RECONNECT = Backoff(first_seconds=0.5, ceiling_seconds=30.0, jitter=0.5)


class Deaf(Exception):
    """A notification was sent and did not come back."""


class Listener:
    """Wakes a worker when jobs come, and finds out whether it can hear at all.

    A pooler in transaction mode takes LISTEN without an error and passes no notification on. Only
    one that is sent over another connection and comes back proves that the others would.

    Args:
        conninfo: of the connection that listens; None never listens.
        channel: what is listened to; inserts notify the schema's name.
        wake: called in the event loop when something came or may have been missed.
        jobs_conninfo: where jobs are deferred, which is where tests are sent; default: `conninfo`.
        test_seconds: the silence after which hearing is tested again, give or take a quarter.
        answer_seconds: how long a test's notification may take to come back.
        fast_poll_seconds: how long a deaf worker may wait between two looks.
        slow_poll_seconds: how long one that hears may wait.

    Attributes:
        is_deaf: True until a test came back.
    """

    def __init__(
        self,
        conninfo: str | None,
        channel: str,
        wake: Callable[[], None],
        *,
        jobs_conninfo: str | None = None,
        test_seconds: float = 30.0,
        answer_seconds: float = 5.0,
        fast_poll_seconds: float = 1.0,
        slow_poll_seconds: float = 5.0,
    ) -> None:
        self.is_deaf = True
        self._conninfo = conninfo
        self._jobs_conninfo = jobs_conninfo or conninfo or ""
        self._channel = channel
        self._wake = wake
        self._test_seconds = test_seconds
        self._answer_seconds = answer_seconds
        self._fast_poll_seconds = fast_poll_seconds
        self._slow_poll_seconds = slow_poll_seconds
        self._was_told = False
        self._failures = 0

    @property
    def poll_seconds(self) -> float:
        """How long the worker may wait for `wake` before it looks by itself."""
        return self._fast_poll_seconds if self.is_deaf else self._slow_poll_seconds

    async def run(self) -> None:
        """Listen until cancelled, whatever happens to the connection."""
        if self._conninfo is None:
            await asyncio.get_running_loop().create_future()
            return
        while True:
            try:
                await self._listen(self._conninfo)
            except Deaf:
                self._tell_deaf("nothing came back; behind a pooler set listen_url")
                await asyncio.sleep(self._until_test())
            except (psycopg.Error, OSError) as error:  # OSError: TimeoutError is one
                self._tell_deaf(_one_line(error))
                await self._back_off()
            except Exception as error:
                # Without a listener the worker would go on half as quick, and nobody would know.
                logger.exception("listening failed")
                self._tell_deaf(_one_line(error))
                await self._back_off()

    async def _back_off(self) -> None:
        await asyncio.sleep(RECONNECT.wait(self._failures))
        self._failures += 1

    def _until_test(self) -> float:
        # Workers that started together must not test together: what one sends, all hear.
        return self._test_seconds * random.uniform(0.75, 1.25)  # noqa: S311 - no secret depends on it

    async def _listen(self, conninfo: str) -> None:
        connection: psycopg.AsyncConnection[Any] | None = None
        try:
            async with asyncio.timeout(SETUP_SECONDS):
                connection = await _connect(conninfo)
                await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(self._channel)))
            self._wake()  # whatever came while nobody listened
            while True:
                await self._test(connection)
                # Anything that is heard is as good as a test, and costs nothing.
                while await self._receive(connection, self._until_test()):
                    pass
        finally:
            if connection is not None:
                await connection.close()

    async def _test(self, connection: psycopg.AsyncConnection[Any]) -> None:
        """Send a notification from elsewhere and wait for it; jobs wake meanwhile as ever.

        Raises:
            Deaf: it did not come back.
        """
        token = TEST_PREFIX + secrets.token_hex(16)
        sending = asyncio.create_task(self._send(token))
        try:
            heard = await self._hears(connection, token.encode())
            # One that could not be sent proves nothing, and the worker's own loop tells of the
            # database; what was known before stays.
            sent = sending.done() and not sending.cancelled() and sending.exception() is None
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
        if heard:
            self._tell_hearing()
        elif sent:
            raise Deaf

    async def _send(self, token: str) -> None:
        connection = await _connect(self._jobs_conninfo)
        try:
            await connection.execute("SELECT pg_notify(%s, %s)", (self._channel, token))
        finally:
            # Not `async with`: that commits first, and cancelled there it closes nothing (3.3.9).
            await connection.close()

    async def _hears(self, connection: psycopg.AsyncConnection[Any], token: bytes) -> bool:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._answer_seconds
        while True:
            seconds = deadline - loop.time()
            # A look after the deadline too: a task may have held the event loop all the time.
            payloads = await self._receive(connection, max(seconds, 0.05))
            if token in payloads:
                return True
            if seconds <= 0 and not payloads:
                return False

    async def _receive(
        self, connection: psycopg.AsyncConnection[Any], seconds: float
    ) -> list[bytes]:
        """What comes first within `seconds`; wakes the worker unless it is nothing but tests."""
        loop = asyncio.get_running_loop()
        readable = asyncio.Event()
        # psycopg's notifies() looks ten times a second, 0.4 % of a core for nothing (3.3.9), and
        # raises at a payload that is no UTF-8, which a database in SQL_ASCII lets through.
        loop.add_reader(connection.fileno(), readable.set)
        try:
            # Not wait_for: Python 3.11's loses a cancellation that comes together with the event.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await readable.wait()
        finally:
            loop.remove_reader(connection.fileno())
        connection.pgconn.consume_input()
        payloads = []
        while (notification := connection.pgconn.notifies()) is not None:
            payloads.append(notification.extra)
        if not all(_is_test(payload) for payload in payloads):
            self._wake()
        return payloads

    def _tell_hearing(self) -> None:
        self._failures = 0
        if self.is_deaf:
            logger.info("notifications are heard", extra={"poll_seconds": self._slow_poll_seconds})
        self.is_deaf = False
        self._was_told = True

    def _tell_deaf(self, reason: str) -> None:
        if not self.is_deaf or not self._was_told:
            logger.warning(
                "notifications are not heard, polling instead",
                extra={"reason": reason, "poll_seconds": self._fast_poll_seconds},
            )
        if not self.is_deaf:
            self._wake()  # it may be in the middle of a long wait
        self.is_deaf = True
        self._was_told = True


def listener(settings: Settings, jobs_conninfo: str, wake: Callable[[], None]) -> Listener:
    """The listener of a worker whose jobs are at `jobs_conninfo`, as the settings want it.

    Raises:
        BadAddress: listen_url is no postgresql:// url.
    """
    listen_at = jobs_conninfo
    if settings.listen_url is not None:
        listen_at = db.conninfo(db.address(settings.listen_url))
    return Listener(
        conninfo=listen_at if settings.notify else None,
        channel=settings.schema,
        wake=wake,
        jobs_conninfo=jobs_conninfo,
        fast_poll_seconds=settings.poll_seconds,
        slow_poll_seconds=settings.idle_poll_seconds,
    )


async def _connect(conninfo: str) -> psycopg.AsyncConnection[Any]:
    return await psycopg.AsyncConnection.connect(
        conninfo, autocommit=True, prepare_threshold=None, connect_timeout=10
    )


def _is_test(payload: bytes) -> bool:
    return len(payload) > MAX_NAME_BYTES and payload.startswith(TEST_PREFIX.encode())


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
