"""One attempt of one job that shares a call with others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING, Any

from taskhub.queue import executors, joblogs
from taskhub.queue.acks import Ack, Claimed, Returned, Stored, Succeeded
from taskhub.queue.batch_task import BatchTask
from taskhub.queue.context import Context
from taskhub.queue.items import CallContext, Done, Item
from taskhub.queue.lease import Registration
from taskhub.queue.retries import Again
from taskhub.queue.runs import STUCK_SECONDS, Run

if TYPE_CHECKING:
    from taskhub.queue.batches import Call
    from taskhub.queue.hub import Hub


_making = Lock()


class ItemRun(Run):
    """A run that its call begins and ends."""

    __slots__ = ("_call", "_made", "_registration", "item")

    item: Item[Any]

    def __init__(
        self,
        hub: Hub,
        job: Claimed,
        registration: Registration,
        pools: executors.Pools,
        on_end: Callable[[Run, Ack | Stored], None],
    ) -> None:
        # Not Run's own: most items are never asked for what a context knows, and it is half the cost.
        self.hub = hub
        self.job = job
        self._pools = pools
        self._on_end = on_end
        self._task = hub.tasks.get(job.task_name)
        self._began = self._ended = 0.0
        self._error: BaseException | None = None
        self._reason: str | None = None
        self._is_giving_back = False
        self._registration = registration
        self._made: Context | None = None

    def join(self, call: Call) -> None:
        """Be one of `call`, which is gathering."""
        self._call = call
        call.runs.append(self)

    def open(
        self,
        task: BatchTask[..., Any],
        call: CallContext,
        began: float,
        args: dict[str, Any] | None,
    ) -> bool:
        """Have an item, of `args` if they are read already; False: they do not fit, and it has ended."""
        self._began = began
        try:
            read = task.read(self.job, self.context) if args is None else args
            self.item = Item(read, self, call)
        except Exception as error:  # noqa: BLE001 - what is stored may be anything
            self._settle(self._raised(error))
            return False
        return True

    @property
    def context(self) -> Context:
        """What is told to the function about this job; made when the first one asks."""
        if self._made is None:
            # The function's thread may ask while the loop does, to cancel: there must be but one.
            with _making:
                return self._make_context()
        return self._made

    def _make_context(self) -> Context:
        if self._made is not None:
            return self._made
        job, registration = self.job, self._registration
        self._made = Context(
            self.hub,
            job.id,
            job.task_name,
            job.queue_name,
            job.attempts + 1,
            job.claim,
            registration.worker_id,
            registration.hub_id,
        )
        return self._made

    @property
    def _context(self) -> Context:  # type: ignore[override]  # Run's, but made late
        return self.context

    @property
    def seconds(self) -> float:
        """How long its call took."""
        return self._ended - self._began

    @property
    def has_reported(self) -> bool:
        """Whether the function has said how far it is."""
        return self._made is not None and self._made.has_reported

    def call_context(self) -> CallContext:
        """The context of a call that begins with this job."""
        known = self.context
        return CallContext(
            known.hub,
            known.job_id,
            known.task_name,
            known.queue,
            known.attempt,
            known.claim,
            known.worker_id,
            known.hub_id,
        )

    @property
    def is_cancelled(self) -> bool:
        """Whether it was asked to stop."""
        return self._made is not None and self._made.cancelled

    def cancel(self, reason: str | None = None) -> None:
        """Ask the job to stop: the function sees it at the item; if all are asked, the call is."""
        self._reason = reason
        self._context.cancelled = True
        if self._call.leave(self):
            self._settle(self._aborted())

    async def interrupt(self) -> Ack:
        """As in Run; an item that the function has spoken of already has the outcome it was given."""
        self._is_giving_back = True
        self.cancel()
        is_stuck = await self._call.end()
        if hasattr(self, "item") and (said := self.item._close()) is not None:  # noqa: SLF001 - as below
            return self._said(said)
        return Returned(
            job=self.job,
            outcome="interrupted",
            again=Again(in_seconds=STUCK_SECONDS if is_stuck else 0.0),
            log=joblogs.take(self._context),
        )

    @property
    def is_stuck(self) -> bool:
        """Whether its call runs in a thread that goes on; of one call's jobs only one says so."""
        return self._call.is_stuck and self._call.runs[0] is self

    def end(self, error: BaseException | None, log: str | None, at: float) -> Ack | None:
        """Its call is over since `at`, by `error` or well, and has logged `log`; None: it is given back."""
        if self._is_giving_back:
            return None
        self._ended = at
        said = self.item._close()  # noqa: SLF001 - an item and its run are one thing seen from two sides
        if said is not None:
            ack = self._said(said)
        elif error is None:
            ack = Succeeded(self.job)
        else:
            ack = self._raised(error) if isinstance(error, Exception) else self._aborted()
        if log is not None:
            joblogs.keep(self.context, log)
        return ack if self._made is None else self._with_log(ack)

    def _with_log(self, ack: Ack) -> Ack:
        if (log := joblogs.take(self.context)) is None:
            return ack
        return ack._replace(log=log) if isinstance(ack, Succeeded) else replace(ack, log=log)

    def _said(self, said: Done | Exception) -> Ack:
        if isinstance(said, Exception):
            return self._raised(said)
        if said.result is None or self._task is None:
            return Succeeded(self.job)
        return Succeeded(self.job, executors.result_text(self._task, said.result))
