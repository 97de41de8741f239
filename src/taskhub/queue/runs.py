"""One run of one claimed job: from its arguments to the outcome that is to be stored."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from procrastinate import jobs

from taskhub.queue import acks, canonical, executors, joblogs, progress, versions
from taskhub.queue.acks import Ack, Claimed, Failed, Returned, Stored, Succeeded
from taskhub.queue.attempts import Failure, describe
from taskhub.queue.context import ClaimLost, Context
from taskhub.queue.events import EventName, JobEvent
from taskhub.queue.execution import TaskTimeout
from taskhub.queue.lease import Registration
from taskhub.queue.outcomes import Snooze, Throttled
from taskhub.queue.reading import UnreadableArguments
from taskhub.queue.retries import Again, decide, strategy
from taskhub.queue.sealing import KeyMissing
from taskhub.queue.secret import Hidden

if TYPE_CHECKING:
    from taskhub.queue.hub import Hub
    from taskhub.queue.task import Task

logger = logging.getLogger("taskhub.worker")
STUCK_SECONDS = 5.0


class Cancelled(Exception):
    """Somebody asked that the job stop, and it did."""


class Run:
    """One attempt; `on_end` gets its outcome once, on the event loop."""

    __slots__ = (
        "_began", "_context", "_ended", "_error", "_future", "_is_giving_back", "_on_end", "_pools",
        "_reason", "_task", "hub", "job",
    )  # fmt: skip

    def __init__(
        self,
        hub: Hub,
        job: Claimed,
        registration: Registration,
        pools: executors.Pools,
        on_end: Callable[[Run, Ack | Stored], None],
    ) -> None:
        self.hub = hub
        self.job = job
        self._pools = pools
        self._on_end = on_end
        self._task = hub.tasks.get(job.task_name)
        self._began = self._ended = time.monotonic()
        self._error: BaseException | None = None
        self._reason: str | None = None
        self._is_giving_back = False
        self._future: asyncio.Task[None]
        self._context = Context(
            hub,
            job.id,
            job.task_name,
            job.queue_name,
            job.attempts + 1,
            job.claim,
            registration.worker_id,
            registration.hub_id,
        )

    def start(self) -> None:
        """Begin on the event loop."""
        loop = asyncio.get_running_loop()
        if loop.get_task_factory() is None:
            # What create_task comes to, in half its time.
            self._future = asyncio.Task(self._go(), loop=loop, name=self.job.task_name)
        else:
            self._future = loop.create_task(self._go())

    def cancel(self, reason: str | None = None) -> None:
        """Ask the job to stop: a coroutine is cancelled, a thread sees `ctx.cancelled`, a child is killed."""
        self._reason = reason
        self._context.cancelled = True
        if self._task is not None and self._task.executor != "thread":
            self._future.cancel()

    def abandon(self) -> None:
        """Stop without an outcome: the claim is lost, another worker may run the job."""
        self._is_giving_back = True
        self.cancel()

    async def interrupt(self) -> Ack:
        """Stop at the end of a drain; the job waits again and no attempt is used."""
        self._is_giving_back = True
        if (late := self._pools.overdue.get(self.job.id)) is not None:
            return self._failed_late(late)
        self.cancel()
        if not self.is_stuck:
            await asyncio.wait([self._future], timeout=STUCK_SECONDS)
        # A thread cannot be stopped: the job must not start elsewhere before this process is gone.
        wait = STUCK_SECONDS if self.is_stuck else 0.0
        return Returned(
            job=self.job,
            outcome="interrupted",
            again=Again(in_seconds=wait),
            log=joblogs.take(self._context),
        )

    def _failed_late(self, late: TaskTimeout) -> Ack:
        """It has failed already: given back as if nothing had happened, it would clog every worker."""
        failure, log = describe(late), joblogs.take(self._context)
        again = comes_back(self._task, self.job, late)
        if again is None:
            return Failed(job=self.job, failure=failure, log=log)
        if again.at is None:
            again = replace(again, in_seconds=max(again.in_seconds or 0.0, STUCK_SECONDS))
        return Returned(job=self.job, outcome="retried", again=again, failure=failure, log=log)

    @property
    def is_stuck(self) -> bool:
        """Whether it runs in a thread that goes on."""
        task = self._task
        return task is not None and task.executor == "thread" and not self._future.done()

    async def _go(self) -> None:
        # No more calls than needed: this runs ten thousand times a second.
        self._began = time.monotonic()
        task, job = self._task, self.job
        if task is None or job.is_expired or (job.version or 1) > task.version:
            self._end_unrun()
            return
        if self.hub.hooks.wanted("job.started"):
            self.hub.hooks.emit(self.event("job.started"))
        ack: Ack | Stored
        try:
            if job.version != task.stored_version:
                job = job._replace(args=versions.bring_up(task, job.args, job.version or 1))
            result = await executors.run(task, job, self._context, self._pools)
            ack = Stored(job) if task.is_transactional else Succeeded(self.job, result)
        except asyncio.CancelledError:
            ack = self._aborted()
        except Exception as error:  # noqa: BLE001 - whatever the user's code raises is its outcome
            ack = self._raised(error)
        if self._context.has_reported:
            await progress.settle(self.hub.reporter, self._pools.threads)
        self._settle(ack)

    def _settle(self, ack: Ack | Stored) -> None:
        # Here, not when the outcome is stored: that may take longer than the task.
        self._ended = time.monotonic()
        if self._is_giving_back:
            return
        if (log := joblogs.take(self._context)) is not None and not isinstance(ack, Stored):
            ack = ack._replace(log=log) if isinstance(ack, Succeeded) else replace(ack, log=log)
        self._on_end(self, ack)

    def _end_unrun(self) -> None:
        self._ended = self._began
        if self._is_giving_back:
            return
        if self.job.is_expired:
            self._on_end(self, acks.expired(self.job))
            return
        self._pools.warn_unknown(self.job)
        self._on_end(self, acks.unknown(self.job))

    def _raised(self, error: Exception) -> Ack:
        self._error = self._shown(error)
        if isinstance(error, Snooze):
            return Returned(
                job=self.job,
                outcome="snoozed",
                again=Again(in_seconds=error.seconds),
                failure=describe(error) if isinstance(error, KeyMissing) else None,
                is_throttled=isinstance(error, Throttled),
                has_feedback=self._task is not None and self._task.has_feedback,
            )
        if isinstance(error, ClaimLost):
            logger.warning("claim lost", extra={"job_id": self.job.id, "claim": self.job.claim})
        if self._context.cancelled:
            return self._aborted(error)
        if isinstance(error, executors.FailedInChild):
            failure, again = error.failure, error.again
        else:
            failure = describe(error, self._context.hidden)
            again = comes_back(self._task, self.job, error)
        if again is None:
            return Failed(job=self.job, failure=failure)
        return Returned(job=self.job, outcome="retried", again=again, failure=failure)

    def _aborted(self, error: BaseException | None = None) -> Ack:
        error = error or Cancelled(self._reason or "cancelled while running")
        self._error = self._shown(error)
        failure = describe(error, self._context.hidden)
        return Failed(job=self.job, failure=failure, status="aborted")

    def _shown(self, error: BaseException) -> BaseException:
        """What hooks may see: of a job with secrets, neither its values nor its frames."""
        if not self._context.hidden:
            return error
        told = describe(error, self._context.hidden)
        return Hidden(f"{told.error_class}: {told.error_message}")

    def tell_end(self, ack: Ack | Stored) -> None:
        """Tell the log and the hooks; call it when the outcome is stored."""
        name = _event(ack)
        is_wanted = name is not None and self.hub.hooks.wanted(name)
        is_logged = logger.isEnabledFor(logging.INFO) and canonical.outcome(ack) != "unknown"
        if not is_logged and not is_wanted:
            self._error = None
            return
        seconds = self._ended - self._began
        if is_logged:
            told = canonical.summary(self.job, self._context, ack, seconds)
            logger.info(name or f"job.{told['outcome']}", extra=told)
        if name is not None and is_wanted:
            failure = None if isinstance(ack, Succeeded | Stored) else ack.failure
            self.hub.hooks.emit(self.event(name, seconds, failure))
        # Its traceback holds this run, and all that the task had in hand.
        self._error = None

    def event(
        self, name: EventName, seconds: float | None = None, failure: Failure | None = None
    ) -> JobEvent:
        """What hooks are told of this attempt."""
        job = self.job
        return JobEvent(
            name,
            job.id,
            job.task_name,
            job.queue_name,
            job.attempts + 1,
            seconds,
            self._error,
            failure,
            job.waited_seconds,
        )


def comes_back(task: Task[..., Any] | None, job: Claimed, error: Exception) -> Again | None:
    """How `job` runs again after `error`, by what its task says of retries; None: it has failed."""
    if task is None or isinstance(error, UnreadableArguments):
        return None
    known = jobs.Job(
        id=job.id,
        queue=job.queue_name,
        priority=job.priority,
        lock=job.lock,
        queueing_lock=job.queueing_lock,
        task_name=job.task_name,
        task_kwargs=json.loads(job.args),
        scheduled_at=job.scheduled_at,
        attempts=job.attempts,
    )
    try:
        return decide(error, known, strategy(task.retry))
    except Exception:
        logger.exception("retry strategy failed", extra={"job_id": job.id})
        return None


def _event(ack: Ack | Stored) -> EventName | None:
    if isinstance(ack, Succeeded | Stored):
        return "job.succeeded"
    if isinstance(ack, Failed):
        return "job.failed" if ack.status == "failed" else "job.cancelled"
    if ack.outcome in {"unknown", "interrupted"}:
        return None
    return "job.retried" if ack.outcome == "retried" else "job.snoozed"
