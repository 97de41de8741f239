"""One attempt of one job that shares a call with others."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from taskhub.queue import executors, joblogs
from taskhub.queue.acks import Ack, Returned, Succeeded
from taskhub.queue.batch_task import BatchTask
from taskhub.queue.context import Context
from taskhub.queue.items import CallContext, Done, Item
from taskhub.queue.retries import Again
from taskhub.queue.runs import STUCK_SECONDS, Run

if TYPE_CHECKING:
    from taskhub.queue.batches import Call


class ItemRun(Run):
    """A run that its call begins and ends."""

    __slots__ = ("_call", "item")

    item: Item[Any]

    def join(self, call: Call) -> None:
        """Be one of `call`, which is gathering."""
        self._call = call
        call.runs.append(self)

    def open(self, task: BatchTask[..., Any], call: CallContext) -> bool:
        """Tell that it starts, and read its arguments; False: they do not fit, and it has ended."""
        self._began = time.monotonic()
        if self.hub.hooks.wanted("job.started"):
            self.hub.hooks.emit(self._event("job.started"))
        try:
            self.item = Item(task.read(self.job, self._context), self._context, call)
        except Exception as error:  # noqa: BLE001 - what is stored may be anything
            self._settle(self._raised(error))
            return False
        return True

    @property
    def context(self) -> Context:
        """What is told to the function about this job."""
        return self._context

    def call_context(self) -> CallContext:
        """The context of a call that begins with this job."""
        known = self._context
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
        return self._context.cancelled

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

    def end(self, error: BaseException | None, log: str | None) -> None:
        """Its call is over, by `error` or well, and has logged `log`."""
        if self._is_giving_back:
            return
        if log is not None:
            joblogs.keep(self._context, log)
        said = self.item._close()  # noqa: SLF001 - an item and its run are one thing seen from two sides
        if said is not None:
            ack = self._said(said)
        elif error is None:
            ack = Succeeded(self.job)
        else:
            ack = self._raised(error) if isinstance(error, Exception) else self._aborted()
        self._settle(ack)

    def _said(self, said: Done | Exception) -> Ack:
        if isinstance(said, Exception):
            return self._raised(said)
        if said.result is None or self._task is None:
            return Succeeded(self.job)
        return Succeeded(self.job, executors.result_text(self._task, said.result))
