"""The child processes of a worker: kept warm, given one job at a time, replaced when they are spent."""

from __future__ import annotations

import asyncio
import logging
import os
from collections import deque
from typing import TYPE_CHECKING, Any

from taskhub.queue import child_start, frames
from taskhub.queue.acks import Claimed
from taskhub.queue.child import Child, Ticket
from taskhub.queue.context import Context
from taskhub.queue.execution import ChildDied, MemoryLimit, TaskTimeout
from taskhub.queue.task import Task

if TYPE_CHECKING:
    from taskhub.queue.hub import Hub

logger = logging.getLogger("taskhub.worker")
# A cancelled job has this long to see `ctx.cancelled`; the request itself is seen within a second.
STOP_SECONDS = 0.5
# A process fills memory at a few hundred megabytes a second.
MEMORY_SECONDS = 0.05
START_SECONDS = 120.0


class Children:
    """At most `process_children` of them; all on the event loop that first asks for one."""

    def __init__(self, hub: Hub, concurrency: int) -> None:
        settings = hub.settings
        self._settings = settings
        self._most = min(settings.process_children or os.cpu_count() or 1, concurrency)
        self._loop = asyncio.get_running_loop()
        self._told = child_start.what_to_tell(hub, settings)
        self._environment = child_start.environment(settings)
        self._alive: set[Child] = set()
        self._ending: set[Child] = set()  # killed, and not yet seen to be dead
        self._idle: list[Child] = []
        self._waiting: deque[Ticket] = deque()
        self._is_closed = False

    async def run(self, task: Task[..., Any], job: Claimed, context: Context) -> str | None:
        """The JSON text of what the task returned in a child.

        Raises:
            FailedInChild: the task raised, with all that the child could tell.
            TaskTimeout, MemoryLimit, CpuLimit, ResultTooLarge, ChildDied: the child was ended.
        """
        ticket = Ticket(_frame(task, job, context), task, context, self._loop.create_future())
        self._waiting.append(ticket)
        self._assign()
        try:
            return await ticket.future
        except asyncio.CancelledError:
            if ticket.child is None:
                self._waiting.remove(ticket)
                raise
            if ticket.child.ticket is not ticket:
                raise
            return await self._stop(ticket, ticket.child)

    async def _stop(self, ticket: Ticket, running_in: Child) -> str | None:
        """Ask the job to stop and kill its child if it does not; a result that comes meanwhile counts."""
        ticket.future = self._loop.create_future()
        running_in.ask_to_stop()
        try:
            await asyncio.wait([ticket.future], timeout=STOP_SECONDS)
        finally:
            if running_in.ticket is ticket:
                running_in.kill(ChildDied("killed: the job was asked to stop"))
        if ticket.future.done() and ticket.future.exception() is None:
            return ticket.future.result()
        ticket.future.cancel()
        raise asyncio.CancelledError

    # Who does what

    def _assign(self) -> None:
        while self._waiting and self._idle:
            self._begin(self._idle.pop(), self._waiting.popleft())
        starting = sum(not c.is_ready for c in self._alive)
        wanted = min(len(self._waiting) - starting, self._most - len(self._alive))
        for _ in range(0 if self._is_closed else wanted):
            try:
                self._start()
            except OSError as error:
                self._waiting.popleft().fail(ChildDied(f"a child could not be started: {error}"))

    def _start(self) -> None:
        started = child_start.start(self._told, self._environment, self._on_free, self._on_gone)
        self._alive.add(started)
        self._loop.call_later(START_SECONDS, self._on_start_time_over, started)

    def _on_start_time_over(self, started: Child) -> None:
        if started in self._alive and not started.is_ready:
            started.kill(ChildDied(f"a child did not start within {START_SECONDS:g} s"))

    def _begin(self, by: Child, ticket: Ticket) -> None:
        by.begin(ticket)
        execution = ticket.task.execution
        if execution is None:
            return
        if execution.timeout is not None:
            late = self._loop.call_later(execution.timeout, self._on_late, by, ticket)
            ticket.timers.append(late)
        if execution.memory_mb is not None:
            self._watch_memory(by, ticket, execution.memory_mb)

    def _on_late(self, by: Child, ticket: Ticket) -> None:
        if by.ticket is ticket:
            by.tell_late()
            grace = self._settings.timeout_grace_seconds
            ticket.timers.append(self._loop.call_later(grace, self._on_too_late, by, ticket))

    def _on_too_late(self, by: Child, ticket: Ticket) -> None:
        execution = ticket.task.execution
        if by.ticket is ticket and execution is not None and execution.timeout is not None:
            by.kill(TaskTimeout(execution.timeout, " and did not stop; its process was killed"))

    def _watch_memory(self, by: Child, ticket: Ticket, most_mb: float) -> None:
        if by.ticket is not ticket:
            return
        held = by.resident_mb()
        if held > most_mb:
            by.kill(MemoryLimit(f"held {held:.0f} MB, memory_mb is {most_mb:g}"))
            return
        again = self._loop.call_later(MEMORY_SECONDS, self._watch_memory, by, ticket, most_mb)
        ticket.timers = [*ticket.timers[:2], again]

    def _on_free(self, free: Child) -> None:
        settings = self._settings
        if free.is_spent or free.jobs >= settings.process_max_jobs or self._is_too_big(free):
            self._alive.discard(free)
            self._ending.add(free)
            free.kill(None)
        elif self._waiting:
            self._begin(free, self._waiting.popleft())
            return
        else:
            self._idle.append(free)
        self._assign()

    def _is_too_big(self, free: Child) -> bool:
        # Asked now and then: it takes as long as a short job does.
        most = self._settings.process_max_mb
        return bool(most) and free.jobs % 16 == 0 and free.resident_mb() > most

    def _on_gone(self, gone: Child, reason: Exception) -> None:
        self._alive.discard(gone)
        self._ending.discard(gone)
        if gone in self._idle:
            self._idle.remove(gone)
        if not gone.is_ready and self._waiting:
            # It died before its first job: to try for ever would hide what is wrong with the hub.
            self._waiting.popleft().fail(reason)
        if not self._is_closed:
            self._assign()

    def close(self) -> None:
        """Kill all of them, and what they started; nothing is left when it returns."""
        self._is_closed = True
        for each in self._alive | self._ending:
            each.kill(None)
            each.bury()
        self._alive.clear()
        self._idle.clear()


def _frame(task: Task[..., Any], job: Claimed, context: Context) -> bytes:
    execution = task.execution
    told = {
        "job": frames.claimed_as_list(job),
        "at": task.function.__module__,
        "worker_id": context.worker_id,
        "hub_id": context.hub_id,
        "traceparent": context.traceparent,
        "timeout": None,
    }
    if execution is not None:
        told["timeout"] = execution.timeout
        if execution.cpu_seconds is not None or execution.open_files is not None:
            told["cpu_seconds"] = execution.cpu_seconds
            told["open_files"] = execution.open_files
    return frames.pack(frames.JOB, frames.as_json(told))
