"""Jobs of batch tasks in a worker: gathered, called together, each with an outcome of its own.

A call takes one slot of the worker's concurrency, from its first job to its end, however many jobs are
in it. What the slots let a tick claim is topped up by a statement of its own, see claim_more_v1.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, MutableMapping, Sequence
from itertools import repeat
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg

from taskhub.queue import executors, joblogs, progress, sql
from taskhub.queue.acks import Ack, Claimed, Stored
from taskhub.queue.attempts import cut
from taskhub.queue.batch_task import BatchTask
from taskhub.queue.item_runs import ItemRun
from taskhub.queue.items import CallContext
from taskhub.queue.lease import Registration
from taskhub.queue.pending import Ended
from taskhub.queue.runs import STUCK_SECONDS, Run

if TYPE_CHECKING:
    from taskhub.queue.hub import Hub

# What a call logs for no item of it is kept with each: so much of it.
CALL_LOG = 2_000
# As many rows as claim_more_v1 looks at, whatever is asked.
AHEAD = 500


class Room(NamedTuple):
    """How many jobs of a task to claim in one lane, from behind a place on."""

    queue: str
    priority: int
    task: str
    place: float
    most: int


class Call:
    """One call of a batch task's function: it gathers jobs, then runs."""

    def __init__(self, batches: Batches, task: BatchTask[..., Any], key: str) -> None:
        self.runs: list[ItemRun] = []
        self.task = task
        self.key = key
        self._batches = batches
        self._seen = 0
        self._linger: asyncio.TimerHandle | None = None
        self._future: asyncio.Task[None] | None = None
        if task.batching.linger:
            loop = asyncio.get_running_loop()
            self._linger = loop.call_later(task.batching.linger, self.start)

    def has_grown(self) -> bool:
        """Whether jobs came since this was asked last."""
        seen, self._seen = self._seen, len(self.runs)
        return len(self.runs) > seen

    @property
    def lingers(self) -> bool:
        """Whether it may wait for more jobs."""
        return self._linger is not None

    @property
    def is_stuck(self) -> bool:
        """Whether it runs in a thread that goes on."""
        future = self._future
        return self.task.executor == "thread" and future is not None and not future.done()

    def start(self) -> None:
        """Call the function, unless it has been."""
        if self._future is not None or not self.runs:
            return
        if self._linger is not None:
            self._linger.cancel()
        self._batches.closed(self)
        context = self.runs[0].call_context()
        self.runs = self._opened(context)
        if not self.runs:
            self._batches.ended(self)
            return
        context.items = [run.item for run in self.runs]
        context.parts = [run.job for run in self.runs]
        self._future = asyncio.get_running_loop().create_task(self._go(context))

    def _opened(self, context: CallContext) -> list[ItemRun]:
        """Those of its jobs whose arguments can be read; the others have ended."""
        runs, began = self.runs, time.monotonic()
        hooks = context.hub.hooks
        if hooks.wanted("job.started"):
            hooks.emit_all([run.event("job.started") for run in runs])
        read = self.task.read_together([run.job for run in runs])
        return [
            run
            for run, args in zip(runs, read or repeat(None, len(runs)), strict=True)
            if run.open(self.task, context, began, args)
        ]

    async def _go(self, context: CallContext) -> None:
        error: BaseException | None = None
        try:
            await executors.run(self.task, self.runs[0].job, context, self._batches.pools)
        except (Exception, asyncio.CancelledError) as raised:  # noqa: BLE001 - it is the outcome of all that have none of their own
            error = raised
        ended_at = time.monotonic()
        if any(run.has_reported for run in self.runs):
            await progress.settle(context.hub.reporter, self._batches.pools.threads)
        self._batches.ended(self)
        if (log := joblogs.take(context)) is not None:
            log = cut(log, CALL_LOG)
        self._batches.tell(
            [(run, ack) for run in self.runs if (ack := run.end(error, log, ended_at)) is not None]
        )

    def leave(self, run: ItemRun) -> bool:
        """Let go of a job that is asked to stop; False: the call runs, and the function has it."""
        if self._future is None:
            if run in self.runs:
                self.runs.remove(run)
            if not self.runs:
                self._batches.ended(self)
            return True
        if self.task.executor == "async" and all(each.is_cancelled for each in self.runs):
            self._future.cancel()
        return False

    async def end(self) -> bool:
        """Wait for its end, unless it runs in a thread, which nothing stops: then True."""
        if self._future is not None and not self.is_stuck:
            await asyncio.wait([self._future], timeout=STUCK_SECONDS)
        return self.is_stuck


class Batches:
    """The calls of one tenure: those that gather, and those that run."""

    def __init__(
        self,
        hub: Hub,
        registration: Registration,
        pools: executors.Pools,
        on_end: Callable[[Run, Ack | Stored], None],
        on_ends: Callable[[Sequence[Ended]], None],
        *,
        may_reach_ahead: bool,
    ) -> None:
        self.pools = pools
        self.tell = on_ends
        self._may_reach_ahead = may_reach_ahead
        self._hub = hub
        self._registration = registration
        self._on_end = on_end
        self._gathering: dict[tuple[str, str], Call] = {}
        self._full: list[Call] = []
        self._calls: set[Call] = set()

    @property
    def spared(self) -> int:
        """How many jobs take no slot, since another one of their call does."""
        return sum(len(call.runs) - 1 for call in self._calls)

    @property
    def gathering(self) -> int:
        """How many calls take more jobs."""
        return len(self._gathering)

    def concern(self, claimed: Iterable[Claimed]) -> bool:
        """Whether jobs of batch tasks are among these."""
        tasks = self._hub.tasks
        names = {job.task_name for job in claimed}
        return any(isinstance(tasks.get(name), BatchTask) for name in names)

    def take(self, claimed: Iterable[Claimed], runs: MutableMapping[int, Run]) -> list[Claimed]:
        """Have these jobs in calls that `go` will start, and put their runs to `runs`.

        Left are the jobs of other tasks, and those that must not run.
        """
        left: list[Claimed] = []
        name, task, call = "", None, None
        for job in claimed:
            if job.task_name != name:
                name, call = job.task_name, None
                task = self._hub.tasks.get(name)
            if (
                not isinstance(task, BatchTask)
                or job.is_expired
                or (job.version or 1) > task.version
            ):
                left.append(job)
                continue
            run = ItemRun(self._hub, job, self._registration, self.pools, self._on_end)
            runs[job.id] = run
            if call is None or job.lost >= 2 or task.batching.by is not None:
                call = self._call_for(job, task)
            run.join(call)
            if job.lost >= 2 or len(call.runs) >= task.batching.most:
                self.closed(call)
                self._full.append(call)
                call = None
        return left

    def _call_for(self, job: Claimed, task: BatchTask[..., Any]) -> Call:
        key = (task.name, task.key_of(job))
        # Workers were lost with it: if it kills this one too, no neighbour dies with it.
        is_suspect = job.lost >= 2
        call = None if is_suspect else self._gathering.get(key)
        if call is None:
            call = Call(self, task, key[1])
            self._calls.add(call)
            if not is_suspect:
                self._gathering[key] = call
        return call

    def go(self, *, may_linger: bool, may_hold: bool) -> None:
        """Start the calls that are full, and those that need not wait for more jobs.

        With `may_hold` another tick comes at once: a call that grew by the last one waits for it.
        """
        self.go_full()
        for call in list(self._gathering.values()):
            if not ((may_linger and call.lingers) or (may_hold and call.has_grown())):
                call.start()

    def go_full(self) -> None:
        """Start the calls that are full."""
        full, self._full = self._full, []
        for call in full:
            call.start()

    def closed(self, call: Call) -> None:
        """It takes no more jobs."""
        key = (call.task.name, call.key)
        if self._gathering.get(key) is call:
            del self._gathering[key]

    def ended(self, call: Call) -> None:
        """It takes no slot any more."""
        self.closed(call)
        self._calls.discard(call)

    def rooms(self, claimed: Sequence[Claimed], slots: int) -> list[Room]:
        """Which tasks of those that a tick claimed should have more jobs, so that calls are full.

        Only for a tick that filled all its slots, else there are no more; and for what the next
        tick's `slots` could not fill. Where it found nothing but one task, as many calls more as lie
        near, for half of the free slots at most.
        """
        have: Counter[str] = Counter()
        for call in self._gathering.values():
            have[call.task.name] += len(call.runs)
        last = {
            (job.queue_name, job.priority, job.task_name): job.place
            for job in claimed
            if job.lost < 2
        }
        asked: list[Room] = []
        for (queue, priority, name), place in last.items():
            task = self._hub.tasks.get(name)
            if not isinstance(task, BatchTask):
                continue
            most = task.batching.most
            room = -have[name] % most
            if len(last) == 1 and self._may_reach_ahead and task.batching.by is None:
                more = most * min(slots // 2, max(0, (AHEAD - room) // most))
            else:
                more = 0
            if room > slots or more:
                have[name] += room
                asked.append(Room(queue, priority, name, place, room + more))
        return asked

    async def top_up(
        self, connection: psycopg.AsyncConnection[Any], asked: Sequence[Room]
    ) -> list[Claimed]:
        """More jobs, as many as fit and lie near."""
        queues, priorities, names, places, rooms = map(list, zip(*asked, strict=True))
        cursor = await connection.execute(
            sql.load("claim_more", self._hub.settings.schema),
            {
                "worker_id": self._registration.worker_id,
                "queues": queues,
                "priorities": priorities,
                "tasks": names,
                "places": places,
                "rooms": rooms,
            },
        )
        return list(map(Claimed._make, await cursor.fetchall()))
