"""Hooks: what happened to a job, told to whoever asked (task_prerun and task_postrun, elsewhere)."""

import asyncio
import inspect
import logging
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from taskhub.queue.attempts import Failure

logger = logging.getLogger("taskhub.events")

EventName = Literal[
    "job.deferred", "job.started", "job.succeeded", "job.retried", "job.failed",
    "job.rescued", "job.cancelled", "job.snoozed", "task.unknown",
]  # fmt: skip

# A plain hook runs on the worker's loop, between two jobs.
SLOW_SECONDS = 0.1
# Calls of coroutine hooks that have not ended yet; what comes above is dropped and counted.
MOST_PENDING = 1_000


# Not frozen: that makes it three times as dear (2.0 us, not 0.7, Python 3.11), ten thousand times a
# second.
@dataclass(slots=True)
class JobEvent:
    """What happened to a job; every hook gets the same object, so leave it as it is.

    Attributes:
        attempt: 1 for the first run, 0 before any.
        duration_seconds: how long the attempt took (task_duration_seconds), where it is over.
        wait_seconds: how long the job was due when it was claimed, where it was.
        error: what the task raised, where it failed or is retried.
        failure: the same as the history keeps it, with class, message and fingerprint.
    """

    name: EventName
    job_id: int
    task_name: str
    queue: str
    attempt: int = 0
    duration_seconds: float | None = None
    error: BaseException | None = None
    failure: Failure | None = None
    wait_seconds: float | None = None


Hook = Callable[[JobEvent], object] | Callable[[JobEvent], Awaitable[object]]


class Hooks:
    """Functions to call, by event; one that raises is logged and never reaches the job.

    Plain functions are called on the spot and must be quick. Coroutine functions run beside the
    jobs, in tasks of their own on the worker's loop: nothing waits for them but the worker's end.
    """

    def __init__(self) -> None:
        self._hooks: dict[str, list[Hook]] = defaultdict(list)
        self._pending: set[asyncio.Task[None]] = set()
        self._dropped = 0

    def on(self, name: EventName, hook: Hook) -> None:
        """Call `hook` at every event of this name; job.deferred comes before the commit.

        Raises:
            ValueError: no event has that name.
        """
        if name not in get_args(EventName):
            raise ValueError(f"event must be one of {', '.join(get_args(EventName))}, got {name!r}")
        self._hooks[name].append(hook)

    def wanted(self, name: EventName) -> bool:
        """Whether anybody asked for this event."""
        return bool(self._hooks.get(name))

    def tell(self, event: JobEvent) -> None:
        """Call the plain functions; a coroutine function is left out with a warning."""
        for answer in self._call(event):
            getattr(answer, "close", lambda: None)()
            logger.warning(
                "asynchronous hook left out of a synchronous call", extra={"event": event.name}
            )

    def emit(self, event: JobEvent) -> None:
        """Call the functions, and let the coroutine functions run beside; on the event loop only."""
        for answer in self._call(event):
            self._run_beside(answer, event)

    def emit_all(self, events: Sequence[JobEvent]) -> None:
        """As `emit` for each of them, all of one name: in half the time, where there are many."""
        hooks = self._hooks.get(events[0].name, ()) if events else ()
        began = time.perf_counter()
        for event in events:
            for hook in hooks:
                try:
                    answer = hook(event)
                    if answer is not None and inspect.isawaitable(answer):
                        self._run_beside(answer, event)
                except KeyboardInterrupt:
                    raise
                except BaseException as error:  # noqa: BLE001 - as in _call
                    _log(event, error)
        if (seconds := time.perf_counter() - began) > SLOW_SECONDS:
            _warn_slow(events[0], seconds)

    def _run_beside(self, answer: Awaitable[object], event: JobEvent) -> None:
        if len(self._pending) >= MOST_PENDING:
            getattr(answer, "close", lambda: None)()
            self._drop(event)
            return
        task = asyncio.ensure_future(_watched(answer, event))
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)

    async def settle(self, timeout_seconds: float) -> None:
        """Wait for the coroutine functions that still run, then stop them; at the worker's end."""
        pending = set(self._pending)
        if not pending:
            return
        _, late = await asyncio.wait(pending, timeout=timeout_seconds)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        if late:
            logger.warning("hooks stopped with the worker", extra={"hooks": len(late)})

    def _call(self, event: JobEvent) -> list[Awaitable[object]]:
        """What is left to await after all hooks were called."""
        left: list[Awaitable[object]] = []
        began = time.perf_counter()
        for hook in self._hooks.get(event.name, ()):
            try:
                answer = hook(event)
                if answer is not None and inspect.isawaitable(answer):
                    left.append(answer)
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # noqa: BLE001 - not even sys.exit() is the job's fault
                _log(event, error)
        if (seconds := time.perf_counter() - began) > SLOW_SECONDS:
            _warn_slow(event, seconds)
        return left

    def _drop(self, event: JobEvent) -> None:
        self._dropped += 1
        if self._dropped % MOST_PENDING == 1:
            logger.warning(
                "hooks are too slow, events are dropped",
                extra={"event": event.name, "dropped": self._dropped},
            )


async def _watched(answer: Awaitable[object], event: JobEvent) -> None:
    try:
        await answer
    except (Exception, SystemExit) as error:  # noqa: BLE001 - sys.exit() would stop the loop
        _log(event, error)


def _warn_slow(event: JobEvent, seconds: float) -> None:
    logger.warning(
        "hooks held up the worker; make a slow one a coroutine function",
        extra={"event": event.name, "seconds": round(seconds, 3)},
    )


def _log(event: JobEvent, error: BaseException) -> None:
    known = {"event": event.name, "job_id": event.job_id}
    logger.error("hook failed", exc_info=error, extra=known)
