"""One job of a batch, as the function that gets many of them sees it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, Protocol

from typing_extensions import TypeVar

from taskhub.queue.acks import Claimed
from taskhub.queue.context import Context, running
from taskhub.queue.outcomes import Fail, Retry, Snooze

if TYPE_CHECKING:
    from taskhub.queue.hub import Hub

A = TypeVar("A", default=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Done:
    """What `item.succeed` was told."""

    result: Any


class Holder(Protocol):
    """What an item is of; its context is made when the first one asks for it."""

    @property
    def context(self) -> Context:
        """What is told about the job."""


class Item(Generic[A]):
    """One job of a call that has many. What is said of it last is its outcome.

    An item that nothing was said of succeeds when the function returns, and if the function raises,
    it is treated as having raised that, by its task's `retry=`. What was said stays either way.
    Outcomes are stored when the call is over, all together. Usable from any thread until then.

    Attributes:
        args: the job's arguments, as `Item[...]` is annotated: an instance, or a dict.
    """

    __slots__ = ("_call", "_holder", "_is_over", "_said", "args")

    def __init__(self, args: A, holder: Holder, call: Context) -> None:
        self.args = args
        self._holder = holder
        self._call = call
        self._said: Done | Exception | None = None
        self._is_over = False

    @property
    def job_id(self) -> int:
        """The job's id."""
        return self._holder.context.job_id

    @property
    def hub(self) -> Hub:
        """The hub whose worker runs the call: its settings, its transactions."""
        return self._call.hub

    @property
    def attempt(self) -> int:
        """1 for the first run; for logs, never for idempotency keys."""
        return self._holder.context.attempt

    @property
    def idempotency_key(self) -> str:
        """The same on every attempt of this job, unlike any other job's, in any database."""
        return self._holder.context.idempotency_key

    @property
    def cancelled(self) -> bool:
        """Whether somebody asked that this job, or the whole call, stop."""
        return self._holder.context.cancelled or self._call.cancelled

    @property
    def log(self) -> logging.LoggerAdapter[logging.Logger]:
        """A logger whose lines are kept with this job; what other loggers say is the whole call's."""
        return _ItemLog(self._holder.context)

    def progress(self, done: float, of: float | None = None, note: str = "") -> None:
        """Say how far the job is, as `ctx.progress` does in other tasks."""
        self._holder.context.progress(done, of, note)

    def succeed(self, result: Any = None) -> None:
        """The job has succeeded; `result` is kept if JSON can hold it."""
        self._say(Done(result))

    def fail(self, reason: str | Exception) -> None:
        """The job has failed: for good with a text, by the task's `retry=` with an exception."""
        if not isinstance(reason, str | Exception):
            raise TypeError(f"reason must be a text or an exception, got {type(reason).__name__}")
        self._say(Fail(reason) if isinstance(reason, str) else reason)

    def retry(self, *, in_seconds: float | None = None, at: datetime | None = None) -> None:
        """Run the job again, using up an attempt; as `raise Retry(...)` in other tasks."""
        self._say(Retry(in_seconds=in_seconds, at=at))

    def snooze(self, seconds: float) -> None:
        """Put the job back for so long, using up no attempt."""
        self._say(Snooze(seconds))

    def _say(self, outcome: Done | Exception) -> None:
        if self._is_over:
            raise RuntimeError(
                f"the call that job {self.job_id} was in is over; its outcome cannot be changed"
            )
        self._said = outcome

    def _close(self) -> Done | Exception | None:
        """What was said; nothing can be from now on."""
        self._is_over = True
        return self._said

    def __repr__(self) -> str:
        return f"Item(job_id={self.job_id}, attempt={self.attempt})"


@dataclass(slots=True, eq=False)
class CallContext(Context):
    """The one call that many jobs share; by its own fields it looks like its first job."""

    items: Sequence[Item[Any]] = ()
    parts: Sequence[Claimed] = ()

    @property
    def context(self) -> Context:
        """Itself, for the one item of a call without a worker."""
        return self

    @property
    def claims(self) -> list[tuple[int, int]]:
        """Job and claim of all that share the call."""
        return [(part.id, part.claim) for part in self.parts]


class _ItemLog(logging.LoggerAdapter[logging.Logger]):
    def __init__(self, context: Context) -> None:
        inner = context.log
        super().__init__(inner.logger, inner.extra)
        self._context = context

    def log(self, level: int, msg: object, *args: object, **given: Any) -> None:
        token = running.set(self._context)
        try:
            given["stacklevel"] = given.get("stacklevel", 1) + 1
            super().log(level, msg, *args, **given)
        finally:
            running.reset(token)
