"""The worker: store what has finished, claim what fits, run it, until told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import errors

from taskhub import db, migrations
from taskhub.queue import lease, notify, sql
from taskhub.queue.acks import Ack, AckStore, extend_history
from taskhub.queue.claims import Claims
from taskhub.queue.runs import Run

if TYPE_CHECKING:
    from taskhub.queue.hub import Hub

logger = logging.getLogger("taskhub.worker")


class Worker:
    """Runs the jobs of a hub's tasks in this process.

    Args:
        queues: their names; None is every queue.
        concurrency: jobs at once; default: the settings'.
        wait: False ends as soon as no job is ready and none runs.
        signals: SIGTERM and SIGINT drain, a second one stops at once; main thread only.

    Attributes:
        abandoned: threads that were still running when the drain was over; their jobs were given
            back, so the process must end at once (the command line does so).
    """

    def __init__(
        self,
        hub: Hub,
        *,
        queues: Sequence[str] | Mapping[str, int] | None = None,
        concurrency: int | None = None,
        wait: bool = True,
        name: str = "worker",
        signals: bool = False,
    ) -> None:
        self.hub = hub
        self.queues = list(queues) if queues is not None else None
        self.concurrency = concurrency or hub.settings.concurrency
        self.wait = wait
        self.name = name
        self.abandoned = 0
        self._signals = signals and threading.current_thread() is threading.main_thread()
        self._schema = hub.settings.schema
        self._wake = asyncio.Event()
        self._stopping = False
        self._drain_deadline: float | None = None
        self._runs: dict[int, Run] = {}
        self._acks: list[tuple[Run, Ack]] = []
        self._lease_lost = False
        self._next_rescue = 0.0
        self._next_cancel_check = 0.0

    def stop(self, drain_seconds: float | None = None) -> None:
        """Take no more jobs; what runs has `drain_seconds` to end, then it is given back."""
        seconds = self.hub.settings.drain_seconds if drain_seconds is None else drain_seconds
        self._stopping = True
        self._drain_deadline = time.monotonic() + seconds
        self._wake.set()

    async def run(self) -> None:
        """Work until stopped; the database may come and go meanwhile.

        Raises:
            SchemaBehind: it does not serve this worker; say `taskhub db migrate`.
            OperationalError: it cannot be reached at the start.
        """
        self._loop = asyncio.get_running_loop()
        await asyncio.to_thread(self._check_schema)
        self._conninfo = db.conninfo(self.hub.url)
        self._threads = ThreadPoolExecutor(self.concurrency, thread_name_prefix="taskhub-job")
        connection = await self._connect()
        await self._take_lease(connection)
        if self._signals:
            for number in (signal.SIGTERM, signal.SIGINT):
                self._loop.add_signal_handler(number, self._on_signal)
        listening = asyncio.create_task(notify.listen(self._conninfo, self._wake.set))
        working = asyncio.create_task(self._work(connection))
        try:
            await asyncio.shield(working)
        except asyncio.CancelledError:
            self.stop()
            await working
            raise
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
            self._threads.shutdown(wait=self.abandoned == 0, cancel_futures=True)
            if self._signals:
                for number in (signal.SIGTERM, signal.SIGINT):
                    self._loop.remove_signal_handler(number)

    def _on_signal(self) -> None:
        self.stop(0.0 if self._stopping else None)

    def _check_schema(self) -> None:
        with self.hub.engine.connect() as connection:
            migrations.require(connection, self.hub.settings)

    # The lease

    async def _take_lease(self, connection: psycopg.AsyncConnection[Any]) -> None:
        settings = self.hub.settings
        await extend_history(connection, self._schema)
        self._registration = await lease.register(
            connection,
            self._schema,
            name=self.name,
            queues=self.queues,
            tasks=list(self.hub.tasks),
            concurrency=self.concurrency,
            lease_seconds=settings.lease_seconds,
        )
        worker_id = self._registration.worker_id
        self._lease_lost = False
        self._store = AckStore(self._schema, worker_id)
        self._claims = Claims(self._schema, worker_id, self.queues)
        self._heartbeat = lease.Heartbeat(
            self._conninfo, self._schema, worker_id, settings.lease_seconds, self._on_lease_lost
        )
        self._heartbeat.start()
        logger.info("worker started", extra={"worker_id": worker_id, "queues": self.queues})

    def _on_lease_lost(self) -> None:
        self._lease_lost = True
        with contextlib.suppress(RuntimeError):  # the loop is closed: there is nobody left to tell
            self._loop.call_soon_threadsafe(self._wake.set)

    async def _renew_identity(self, connection: psycopg.AsyncConnection[Any]) -> None:
        """Others may have our jobs: let go of them and come back as a new worker."""
        self._heartbeat.stop()
        for run in self._runs.values():
            run.abandon()
        self._runs.clear()
        self._acks.clear()
        await self._take_lease(connection)

    # The loop

    async def _work(self, connection: psycopg.AsyncConnection[Any]) -> None:
        while True:
            self._wake.clear()  # before the claim: what comes during it wakes us again
            try:
                if self._lease_lost or self._heartbeat.is_over:
                    await self._renew_identity(connection)
                await self._store_acks(connection)
                await self._look_after_others(connection)
                claimed = 0 if self._stopping else await self._claim(connection)
                if self._is_over(claimed):
                    break
            except errors.UniqueViolation:
                # Two claims raced for one lock; the index let one win. Try again in a moment.
                await asyncio.sleep(random.uniform(0.01, 0.1))  # noqa: S311 - no secret depends on it
                continue
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                logger.warning("database lost", extra={"error": str(error)})
                connection = await self._reconnect(connection)
                continue
            except psycopg.Error:
                # Whatever the server refuses, the other jobs go on; what is ours and stays
                # unstored is rescued when this worker ends.
                logger.exception("the database refused a statement")
                await asyncio.sleep(self.hub.settings.poll_seconds)
                continue
            if claimed == 0 or len(self._runs) >= self.concurrency:
                await self._sleep()
        await self._leave(connection)

    def _is_over(self, claimed: int) -> bool:
        if self._runs and self._stopping and time.monotonic() >= (self._drain_deadline or 0):
            return True
        return (
            not self._runs
            and not self._acks
            and (self._stopping or (not self.wait and not claimed))
        )

    async def _sleep(self) -> None:
        seconds = self.hub.settings.poll_seconds
        if self._drain_deadline is not None:
            seconds = min(seconds, max(self._drain_deadline - time.monotonic(), 0))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), seconds)

    async def _claim(self, connection: psycopg.AsyncConnection[Any]) -> int:
        free = self.concurrency - len(self._runs)
        if free <= 0:
            return 0
        jobs = await self._claims.take(connection, free)
        for job in jobs:
            run = Run(self.hub, job, self._registration, self._threads, self._on_end)
            self._runs[job.id] = run
            run.start()
        return len(jobs)

    def _on_end(self, run: Run, ack: Ack) -> None:
        if self._runs.pop(run.job.id, None) is run:
            self._acks.append((run, ack))
            self._wake.set()

    async def _store_acks(self, connection: psycopg.AsyncConnection[Any]) -> None:
        if not self._acks:
            return
        taken = list(self._acks)
        stored = await self._store.store(connection, [ack for _, ack in taken])
        # Only now: had the connection broken, they would be stored again on the next one.
        del self._acks[: len(taken)]
        for run, ack in taken:
            if run.job.id in stored:
                await run.tell_end(ack)

    async def _look_after_others(self, connection: psycopg.AsyncConnection[Any]) -> None:
        now = time.monotonic()
        if now >= self._next_rescue:
            self._next_rescue = now + self.hub.settings.lease_seconds / 3
            await self._claims.rescue(connection, self.hub)
        if self._runs and now >= self._next_cancel_check:
            self._next_cancel_check = now + 1.0
            for job_id in await self._claims.cancelled(connection):
                if job_id in self._runs:
                    self._runs[job_id].cancel()

    # Connections, and the end

    async def _connect(self) -> psycopg.AsyncConnection[Any]:
        return await psycopg.AsyncConnection.connect(
            self._conninfo, autocommit=True, prepare_threshold=None, connect_timeout=10
        )

    async def _reconnect(
        self, broken: psycopg.AsyncConnection[Any]
    ) -> psycopg.AsyncConnection[Any]:
        """A new connection, however long it takes; running jobs go on meanwhile."""
        await broken.close()
        wait = 0.1
        while True:
            try:
                return await self._connect()
            except psycopg.OperationalError:
                if self._stopping and time.monotonic() >= (self._drain_deadline or 0):
                    raise
            await asyncio.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311 - no secret depends on it
            wait = min(wait * 2, 5.0)

    async def _leave(self, connection: psycopg.AsyncConnection[Any]) -> None:
        """Give back what still runs, store the last outcomes, and leave the living."""
        try:
            left = list(self._runs.values())
            self._runs.clear()
            acks = [await run.interrupt() for run in left]
            self.abandoned = sum(run.is_stuck for run in left)
            await self._store.store(connection, [ack for _, ack in self._acks] + acks)
            await connection.execute(
                sql.load("unregister_worker", self._schema),
                {
                    "worker_id": self._registration.worker_id,
                    "reason": "stopped" if self.wait else "done",
                },
            )
        finally:
            self._heartbeat.stop()
            await connection.close()
        logger.info("worker stopped", extra={"worker_id": self._registration.worker_id})
