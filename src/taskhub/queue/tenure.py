"""A worker under one id: its lease, the jobs it holds, and what became of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import errors

from taskhub.queue import index_args, lease, sql, standing
from taskhub.queue.acks import Ack, Claimed, Stored, not_run
from taskhub.queue.batches import Batches
from taskhub.queue.pending import MOST_A_TICK, Ended, Pending
from taskhub.queue.runs import Run
from taskhub.queue.standing import Standing
from taskhub.queue.telling import tell
from taskhub.queue.terms import Terms
from taskhub.queue.tick import Answer, Ticker
from taskhub.queue.upkeep import Upkeep, extend_history

logger = logging.getLogger("taskhub.worker")
# From here on a tick claims half of the slots: while it is on its way, the other half runs.
OVERLAP_FROM = 50
# What a pooler makes of statements that were prepared: no outcome's fault.
PREPARED = (errors.InvalidSqlStatementName, errors.DuplicatePreparedStatement)


class Tenure:
    """One worker id. When its lease is lost, others may have its jobs: a new tenure begins."""

    def __init__(self, terms: Terms, registration: lease.Registration) -> None:
        settings = terms.hub.settings
        self.runs: dict[int, Run] = {}
        self.must_sweep = False
        self.suspect_waits = False
        self._to_start: list[Claimed] = []
        self._to_tell: list[Ended] = []
        self._terms = terms
        self._registration = registration
        self._schema = settings.schema
        self._ticker = Ticker(
            settings.schema,
            registration.worker_id,
            terms.queues,
            weights=terms.weights,
            ageing_seconds=settings.priority_ageing_seconds,
        )
        self._upkeep = Upkeep(terms.hub, registration.worker_id)
        self.standing = Standing(terms, registration)
        self.pending = Pending(
            settings.schema, registration.worker_id, lambda: self.standing.awake_seconds
        )
        self._is_stopped = False
        self._is_more_near = False
        self._suspects: set[int] = set()
        self._batches = Batches(
            terms.hub,
            registration,
            terms.pools,
            self._on_end,
            self._on_ends,
            # Shares count slots of a tick, and calls that came beside it would have none.
            may_reach_ahead=not terms.weights and terms.concurrency >= OVERLAP_FROM,
        )
        self._loop = asyncio.get_running_loop()

    @classmethod
    async def begin(cls, terms: Terms, connection: psycopg.AsyncConnection[Any]) -> Tenure:
        """Register a new worker and start to renew its lease."""
        await extend_history(connection, terms.hub.settings.schema)
        if (told := index_args.declared(terms.hub)) is not None:
            query = sql.load("declare_index_args", terms.hub.settings.schema)
            await connection.execute(query, {"declared": told})
        registration = await standing.register(terms, connection)
        tenure = cls(terms, registration)
        tenure.standing.start()
        logger.info(
            "worker started", extra={"worker_id": registration.worker_id, "queues": terms.queues}
        )
        return tenure

    @property
    def is_busy(self) -> bool:
        """Whether jobs are here that have not ended."""
        return bool(self.runs or self._to_start)

    @property
    def has_only_overdue(self) -> bool:
        """Whether all jobs that are here have failed by their timeout, and go on in threads."""
        return not self._to_start and self.runs.keys() <= self._terms.pools.overdue.keys()

    @property
    def stuck(self) -> int:
        """How many jobs run in threads, which nothing stops but the end of the process."""
        return sum(run.is_stuck for run in self.runs.values())

    @property
    def upkeep_due_in_seconds(self) -> float:
        """When the next look at dead workers is due."""
        return self._upkeep.due_in_seconds

    @property
    def cancels_due_in_seconds(self) -> float:
        """When requests to stop running jobs are looked for next."""
        return self._upkeep.cancels_due_in_seconds

    def stop_work(self) -> None:
        """Stop what runs, and the lease: other workers may take the jobs from now on."""
        self.standing.stop()
        self._is_stopped = True
        for run in self.runs.values():
            run.abandon()

    async def hand_over(self, connection: psycopg.AsyncConnection[Any]) -> None:
        """Tell under the old id what ended and what was cut, before a new one begins.

        An outage is longer than the lease and nobody else took the jobs: they come back at once, and
        none counts as lost with its worker. What others did take, the fence refuses here.
        """
        self.stop_work()
        await self.give_back()
        tell(self._terms.hub, await self.pending.store_alone(connection))
        while batch := self.pending.batch():
            answer = await self._ticker.tick(connection, [ack for _, ack in batch], 0)
            tell(self._terms.hub, await self.pending.settle(connection, batch, answer.stored))
        await self._unregister(connection, "lost: no heartbeat within its lease")

    def reconnected(self) -> None:
        """Look at once for what was claimed on the broken connection, and at nobody's death yet."""
        self._upkeep = Upkeep(
            self._terms.hub,
            self._registration.worker_id,
            wait_seconds=self._terms.hub.settings.lease_seconds,
        )

    async def turn(
        self, connection: psycopg.AsyncConnection[Any], *, takes_jobs: bool
    ) -> Answer | None:
        """One look at everything; None: there was nothing to ask the database for."""
        if not self._upkeep.due_in_seconds:
            self.catch_up()  # what is ours in the table must be seen to run here
        forgotten = await self._upkeep.look(connection, self.runs, self.pending.job_ids)
        self.pending.add((None, ack) for ack in forgotten)
        tell(self._terms.hub, await self.pending.store_alone(connection))
        batch = self.pending.batch()
        alone = self.suspect_waits and not self.is_busy
        slots = (1 if alone else self.slots(len(batch))) if takes_jobs else 0
        if self.suspect_waits or not takes_jobs:
            self._batches.go(may_linger=False, may_hold=False)
        if not batch and not slots:
            return None
        try:
            answer = await self._ticker.tick(
                connection,
                [ack for _, ack in batch],
                slots,
                alone=alone,
                must_sweep=self.must_sweep,
            )
        except psycopg.Error as error:
            await self._refused(connection, batch, error)
            return None
        self._to_tell += await self.pending.settle(connection, batch, answer.stored)
        self._take_in(answer, alone=alone)
        if self._batches.concern(answer.claimed):
            await self._gather(connection, answer)
        elif answer.is_full:
            # Not now: while the next tick is on its way there is time for it.
            self._loop.call_soon(self.catch_up)
        else:
            self.catch_up()
        return answer

    def _take_in(self, answer: Answer, *, alone: bool) -> None:
        self.suspect_waits = answer.has_suspect and not alone
        self._to_start += answer.claimed
        if alone:
            # No other claim takes one.
            self._suspects = {job.id for job in answer.claimed if job.lost >= 2}
        self._is_more_near = answer.is_full and not alone

    async def _gather(self, connection: psycopg.AsyncConnection[Any], answer: Answer) -> None:
        """Start what was claimed; calls that the next tick could not fill are topped up first."""
        self._start_claimed()
        if not self._is_more_near:
            self.catch_up()
            return
        asked = self._batches.rooms(answer.claimed, self._slots_of_next_tick)
        # Calls that have their jobs run while those of others come.
        self._loop.call_soon(self._start_full)
        if asked:
            try:
                self._to_start += await self._batches.top_up(connection, asked)
            finally:
                self._start_claimed()
        self._loop.call_soon(self.catch_up)

    async def _refused(
        self,
        connection: psycopg.AsyncConnection[Any],
        batch: Sequence[Ended],
        error: psycopg.Error,
    ) -> None:
        if connection.closed or not batch or isinstance(error, PREPARED):
            raise error
        if isinstance(error, errors.CheckViolation):
            # A partition is missing. They are made ahead, but a burst can be faster.
            await extend_history(connection, self._schema, [ack.job.id for _, ack in batch])
        else:
            logger.warning("a tick was refused", extra={"error": str(error)})
        tell(self._terms.hub, await self.pending.store_one_by_one(connection, self._ticker, batch))

    def slots(self, being_stored: int = 0) -> int:
        """How many jobs to ask for; outcomes that pile up take the place of jobs.

        None beside a job that workers were lost with, nor before one that waits.
        """
        if self.suspect_waits or (self._suspects and self._has_suspect()):
            return 0
        concurrency = self._terms.concurrency
        running_calls = len(self.runs) + len(self._to_start) - self._batches.spared
        free = concurrency - running_calls - (len(self.pending) - being_stored)
        most = concurrency if concurrency < OVERLAP_FROM else concurrency // 2
        return max(0, min(free, most))

    @property
    def _slots_of_next_tick(self) -> int:
        return self.slots(min(len(self.pending), MOST_A_TICK))

    def _has_suspect(self) -> bool:
        waiting = {job.id for job in self._to_start}
        self._suspects &= self.runs.keys() | waiting
        return bool(self._suspects)

    def catch_up(self) -> None:
        """Start what was claimed, and tell of what was stored."""
        self._start_claimed()
        if not self._is_stopped:
            # Where calls that wait take all slots, nothing comes that they could wait for.
            may_linger = self._batches.gathering < self._terms.concurrency
            self._batches.go(
                may_linger=may_linger, may_hold=self._is_more_near and self._slots_of_next_tick > 0
            )
        told, self._to_tell = self._to_tell, []
        tell(self._terms.hub, told)

    def _start_full(self) -> None:
        if not self._is_stopped:
            self._batches.go_full()

    def _start_claimed(self) -> None:
        terms, runs = self._terms, self.runs
        claimed: list[Claimed] = []
        if not self._is_stopped:
            claimed, self._to_start = self._to_start, claimed
        if self._batches.concern(claimed):
            claimed = self._batches.take(claimed, runs)
        for job in claimed:
            runs[job.id] = run = Run(terms.hub, job, self._registration, terms.pools, self._on_end)
            run.start()

    def _on_end(self, run: Run, ack: Ack | Stored) -> None:
        if self.runs.pop(run.job.id, None) is run:
            if isinstance(ack, Stored):
                run.tell_end(ack)
            else:
                self.pending.add([(run, ack)])
            self._terms.wake()

    def _on_ends(self, ended: Sequence[Ended]) -> None:
        runs = self.runs
        self.pending.add([
            (run, ack) for run, ack in ended if runs.pop(ack.job.id, None) is run
        ])  # fmt: skip
        self._terms.wake()

    async def give_back(self) -> int:
        """Stop what still runs and let it wait again; how many threads could not be stopped."""
        left = list(self.runs.values())
        self.runs.clear()
        self.pending.add((None, not_run(job)) for job in self._to_start)
        self._to_start.clear()
        outcomes = await asyncio.gather(*(run.interrupt() for run in left))
        self.pending.add(zip(left, outcomes, strict=True))
        return sum(run.is_stuck for run in left)

    async def end(self, connection: psycopg.AsyncConnection[Any], reason: str) -> None:
        """Leave the living; the lease is renewed until then, for the last outcomes' sake."""
        await self._upkeep.end()
        await self._unregister(connection, reason)
        self.standing.stop()
        logger.info("worker stopped", extra={"worker_id": self._registration.worker_id})

    async def _unregister(self, connection: psycopg.AsyncConnection[Any], reason: str) -> None:
        told = {"worker_id": self._registration.worker_id, "reason": reason}
        await connection.execute(sql.load("unregister_worker", self._schema), told)
