"""The worker: store what has finished, claim what fits, run it, until told to stop."""

from __future__ import annotations

import asyncio
import logging
import math
import random
import threading
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import psycopg

from taskhub import db, migrations
from taskhub.queue import direct, joblogs, notify, scheduler, stopping
from taskhub.queue.executors import Pools
from taskhub.queue.pulse import Pulse
from taskhub.queue.shares import check_weights
from taskhub.queue.tenure import PREPARED, Tenure
from taskhub.queue.terms import Terms
from taskhub.queue.tick import Answer

if TYPE_CHECKING:
    from taskhub.queue.hub import Hub

logger = logging.getLogger("taskhub.worker")
ECHO_SECONDS = 0.5


class Worker:
    """Runs the jobs of a hub's tasks in this process.

    Args:
        queues: their names; None is every queue. A mapping of names to weights, whole numbers, gives
            each its share of the slots, and what one leaves to the others.
        concurrency: jobs at once; default: the settings'.
        wait: False ends as soon as no job is ready and none runs.
        signals: SIGTERM and SIGINT drain, a second one stops at once; main thread only.

    Attributes:
        abandoned: threads that were still running when the drain was over; their jobs were given
            back, so the process must end at once; coroutines that were left behind count too.
        is_clogged: whether it ended because of `max_overdue_threads`.
        pulse: how its loop is.
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
        self.weights = check_weights(queues) if queues is not None else None
        self.concurrency = concurrency or hub.settings.concurrency
        self.wait = wait
        self.name = name
        self.abandoned = 0
        self.is_clogged = False
        self._signals = signals and threading.current_thread() is threading.main_thread()
        self.pulse = Pulse(self)
        self._wake = asyncio.Event()
        self._stopping = False
        self._is_asked_to_drain = False
        self._signalled_at = float("-inf")
        self._drain_deadline: float | None = None

    def stop(self, drain_seconds: float | None = None) -> None:
        """Take no more jobs; what runs has `drain_seconds` to end, then it is given back."""
        seconds = self.hub.settings.drain_seconds if drain_seconds is None else drain_seconds
        self._stopping = True
        self._drain_deadline = time.monotonic() + seconds
        self._wake.set()

    def drain(self, how: str) -> None:
        """Take no more jobs, and when the last one is done "end", or "stay" until a signal comes.

        There is no deadline. A signal that comes meanwhile is the first one, and sets one.
        """
        if self._stopping:
            return
        if not self._is_asked_to_drain:
            logger.info("asked to drain", extra={"then": how})
        self._is_asked_to_drain = True
        if how == "end" or not self.wait:
            self.stop(math.inf)
        self._wake.set()

    async def run(self) -> None:
        """Work until stopped; the database may come and go meanwhile.

        Raises:
            SchemaBehind: it does not serve this worker; say `taskhub db migrate`.
            OperationalError: it cannot be reached at the start.
        """
        await asyncio.to_thread(self._check_schema)
        self._conninfo = db.conninfo(self.hub.url)
        pools = Pools(self.hub, self.concurrency)
        self._terms = Terms(
            hub=self.hub,
            conninfo=self._conninfo,
            name=self.name,
            queues=self.queues,
            weights=self.weights,
            concurrency=self.concurrency,
            pools=pools,
            wake=self._wake.set,
            drain=self.drain,
        )
        schedules = scheduler.beside(self.hub, is_wanted=self.wait)
        with stopping.heard(self._on_signal, is_wanted=self._signals), joblogs.capture(), schedules:
            try:
                await self._live()
            finally:
                pools.close(wait=self.abandoned == 0)

    async def _live(self) -> None:
        self._connection = await direct.connect(self._conninfo)
        try:
            self._tenure = await Tenure.begin(self._terms, self._connection)
            await self._serve()
        finally:
            # Here, not in what serves: an event loop that ends cancels its tasks wherever they are.
            await self._connection.close()

    async def _serve(self) -> None:
        self._listener = notify.listener(self.hub.settings, self._conninfo, self._wake.set)
        listening = asyncio.create_task(self._listener.run())
        working = asyncio.create_task(self._work())
        try:
            await asyncio.shield(working)
        except asyncio.CancelledError:
            self.stop()
            await working
            raise
        finally:
            self._tenure.stop_work()
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    def _on_signal(self) -> None:
        # systemd signals every process of a unit, and a supervisor passes its own signal on: two that
        # come together are one.
        now = time.monotonic()
        if now - self._signalled_at >= ECHO_SECONDS:
            self._signalled_at = now
            self.stop(0.0 if self._stopping and not self._is_asked_to_drain else None)
            self._is_asked_to_drain = False

    def _check_schema(self) -> None:
        with self.hub.engine.connect() as connection:
            migrations.require(connection, self.hub.settings)

    # The loop

    async def _work(self) -> None:
        while True:
            began = self.pulse.beat()
            self._wake.clear()  # before the claim: what comes during it wakes us again
            self._end_if_clogged()
            try:
                if not await self._tenure.standing.holds():
                    await self._tenure.hand_over(self._connection)
                    self._tenure = await Tenure.begin(self._terms, self._connection)
                # A connection that gives no answer within a lease is as good as broken.
                async with asyncio.timeout(max(self.hub.settings.lease_seconds, 5.0)):
                    if not self.takes_jobs:
                        await self._tenure.standing.tell_drain(self._connection)
                    answer = await self._tenure.turn(self._connection, takes_jobs=self.takes_jobs)
            except (psycopg.Error, TimeoutError) as error:
                await self._after(error)
                continue
            self.pulse.turned(began)
            if self._is_over(answer):
                break
            await self._rest(answer)
        await self._leave()

    @property
    def takes_jobs(self) -> bool:
        """Whether it claims jobs: it neither drains nor ends."""
        return not self._stopping and not self._is_asked_to_drain

    def _end_if_clogged(self) -> None:
        overdue, most = len(self._terms.pools.overdue), self.hub.settings.max_overdue_threads
        if most and overdue >= most and not self._stopping:
            logger.error("threads cannot be stopped; the worker ends", extra={"overdue": overdue})
            self.is_clogged = True
            self.stop()

    async def _after(self, error: Exception) -> None:
        """Go on with a connection that serves; whatever the server refuses, the other jobs go on."""
        is_lost = self._connection.closed or isinstance(error, TimeoutError)
        self.pulse.failed(is_lost=is_lost)
        if is_lost:
            logger.warning("database lost", extra={"error": str(error)})
            await self._reconnect()
            return
        if isinstance(error, PREPARED):
            self._connection.prepare_threshold = None  # there is a pooler after all
        logger.error("the database refused a statement", exc_info=error)
        await asyncio.sleep(self.hub.settings.poll_seconds)

    def _is_over(self, answer: Answer | None) -> bool:
        tenure = self._tenure
        if tenure.is_busy:
            is_vain = self.is_clogged and tenure.has_only_overdue
            return self._stopping and (is_vain or time.monotonic() >= (self._drain_deadline or 0))
        if len(tenure.pending):
            return False
        if self._stopping:
            return True
        if self.wait or answer is None or answer.claimed or answer.has_more or tenure.suspect_waits:
            return False
        # Before the end of a burst, one look at everything.
        was_last_look, tenure.must_sweep = tenure.must_sweep, True
        return was_last_look

    async def _rest(self, answer: Answer | None) -> None:
        """Wait until something happens, unless there is more to do at once."""
        tenure = self._tenure
        if len(tenure.pending):
            return
        if answer is not None and answer.claimed:
            tenure.must_sweep = False
        has_more = answer is not None and (answer.is_full or tenure.must_sweep)
        if has_more and self.takes_jobs and tenure.slots():
            return
        if tenure.suspect_waits and self.takes_jobs and not tenure.is_busy:
            return
        alarm = asyncio.get_running_loop().call_later(self._rest_seconds(answer), self._wake.set)
        await self._wake.wait()
        alarm.cancel()

    def _rest_seconds(self, answer: Answer | None) -> float:
        settings = self.hub.settings
        waits = [self._listener.poll_seconds, self._tenure.upkeep_due_in_seconds]
        if answer is not None and answer.next_due_seconds is not None:
            waits.append(max(answer.next_due_seconds, 0.001))
        if answer is not None and not answer.was_complete:
            waits.append(settings.poll_seconds)
        if self._tenure.is_busy:
            # Somebody may ask that they stop.
            waits.append(max(self._tenure.cancels_due_in_seconds, 0.001))
        if self._drain_deadline is not None:
            waits.append(max(self._drain_deadline - time.monotonic(), 0.0))
        return min(waits)

    # Connections, and the end

    async def _reconnect(self) -> None:
        """Connect anew, however long it takes; running jobs go on meanwhile."""
        await self._connection.close()
        wait = 0.1
        while True:
            try:
                self._connection = await direct.connect(self._conninfo)
            except psycopg.OperationalError:
                self.pulse.beat()
                if self._tenure.standing.is_lost:
                    self._tenure.stop_work()  # others may take the jobs from now on
                if self._stopping and time.monotonic() >= (self._drain_deadline or 0):
                    self.abandoned = self._tenure.stuck
                    raise
            else:
                self._tenure.reconnected()
                return
            await asyncio.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311 - no secret depends on it
            # Well below a lease: who is back late after an outage looks dead to the others.
            wait = min(wait * 2, 5.0, self.hub.settings.lease_seconds / 4)

    async def _leave(self) -> None:
        """Give back what still runs, store the last outcomes, and leave the living."""
        tenure = self._tenure
        self.abandoned = await tenure.give_back() + len(self._terms.pools.deserted)
        while True:
            try:
                while len(tenure.pending):
                    await tenure.turn(self._connection, takes_jobs=False)
                tenure.catch_up()
                await self.hub.hooks.settle(self.hub.settings.drain_seconds)
                await tenure.end(self._connection, "stopped" if self.wait else "done")
                return
            except (psycopg.Error, TimeoutError) as error:
                # While the lease lasts nobody else has the jobs: it is worth another try.
                if not await tenure.standing.holds():
                    raise
                await self._after(error)
