"""Hooks: what happened to a job, told to whoever asked (task_prerun and task_postrun, elsewhere)."""

import inspect
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal, get_args

logger = logging.getLogger("taskhub.events")

EventName = Literal[
    "job.deferred", "job.started", "job.succeeded", "job.retried", "job.failed",
    "job.rescued", "job.cancelled", "job.snoozed",
]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEvent:
    """What happened to a job.

    Attributes:
        attempt: 1 for the first run, 0 before any.
        duration_seconds: how long the attempt took (task_duration_seconds), where it is over.
        error: what the task raised, where it failed or is retried.
    """

    name: EventName
    job_id: int
    task_name: str
    queue: str
    attempt: int = 0
    duration_seconds: float | None = None
    error: BaseException | None = None


Hook = Callable[[JobEvent], object] | Callable[[JobEvent], Awaitable[object]]


class Hooks:
    """Functions to call, by event; one that raises is logged and never reaches the job."""

    def __init__(self) -> None:
        self._hooks: dict[str, list[Hook]] = defaultdict(list)

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
        for hook in self._hooks.get(event.name, ()):
            try:
                if inspect.isawaitable(answer := hook(event)):
                    getattr(answer, "close", lambda: None)()
                    logger.warning(
                        "asynchronous hook left out of a synchronous call",
                        extra={"event": event.name},
                    )
            except Exception:  # what a hook raises is not the job's fault
                logger.exception("hook failed", extra={"event": event.name, "job_id": event.job_id})

    async def tell_async(self, event: JobEvent) -> None:
        """Call the functions, and await what the coroutine functions return."""
        for hook in self._hooks.get(event.name, ()):
            try:
                if inspect.isawaitable(answer := hook(event)):
                    await answer
            except Exception:  # what a hook raises is not the job's fault
                logger.exception("hook failed", extra={"event": event.name, "job_id": event.job_id})
