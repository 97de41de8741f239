"""A job as its deferrer sees it: where it stands, what it returned, how often it was tried."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from procrastinate.jobs import Status

from taskhub.queue.events import JobEvent
from taskhub.queue.progress import Progress
from taskhub.queue.results import FINAL

if TYPE_CHECKING:
    from taskhub.queue.hub import Hub

R_co = TypeVar("R_co", covariant=True)


class UnknownJob(LookupError):
    """There is no such job: it was never committed, or its history is past its retention."""


class JobNotDone(TimeoutError):
    """The job had not ended when the time was up."""


class JobFailed(RuntimeError):
    """The job ended without a result; the message carries its error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One run of a job, as the history keeps it; times are the database's.

    Attributes:
        attempt: 1 for the first run; a run that used up no attempt has the number of the next one.
        duration_seconds: from its claim to its end; None where it never ran, cancelled for one.
        log: what the task logged, its first and its last lines.
    """

    job_id: int
    claim: int
    attempt: int
    outcome: str
    worker_id: int | None
    host: str | None
    pid: int | None
    started_at: datetime | None
    finished_at: datetime
    duration_seconds: float | None
    error_class: str | None
    error_message: str | None
    traceback: str | None
    fingerprint: str | None
    log: str | None


@dataclass(frozen=True, slots=True)
class Job(Generic[R_co]):
    """A handle on one job; every method asks the database anew, on a connection of the hub.

    Attributes:
        is_new: False where `defer` stored nothing, because this job has the unique key.
    """

    id: int
    task_name: str
    hub: Hub
    is_new: bool = field(default=True, compare=False)

    def status(self) -> Status:
        """Where the job stands.

        Raises:
            UnknownJob: its transaction has not committed, or its history is gone.
        """
        row = self.hub.read_one("read_status", job_id=self.id)
        if row is None:
            raise self._unknown()
        return Status(row["status"])

    def result(self, timeout: float | None = None) -> R_co:
        """What the task returned, as JSON gives it back; waits up to `timeout` seconds, or for ever.

        However many threads and coroutines wait, one thread of the hub looks for all of them: at once,
        after 20 ms, and then less and less often, down to once a second.

        Raises:
            JobNotDone: the time is up.
            JobFailed: the job failed or was cancelled.
            UnknownJob: as `status`; also where the transaction that deferred it is still open here.
        """
        row = self.hub.lookout.ask(self.id, timeout).result()
        if row is None:
            raise self._unknown()
        return self._result_of(row, timeout)

    def _result_of(self, row: Mapping[str, Any], timeout: float | None) -> R_co:
        status = Status(row["status"])
        if status not in FINAL:
            raise JobNotDone(f"job {self.id} is still {status.value} after {timeout} seconds")
        if status is not Status.SUCCEEDED:
            why = f": {row['error_class']}: {row['error_message']}" if row["error_class"] else ""
            raise JobFailed(f"job {self.id} {status.value}{why}")
        return cast(R_co, row["result"])

    def _unknown(self) -> UnknownJob:
        """Why there is no such job, as far as it can be told."""
        if self.hub.has_transaction_here():
            return UnknownJob(
                f"no job {self.id} yet: a transaction is open here, and a job that is deferred in it "
                "is there for others when it has committed; ask after that"
            )
        row = self.hub.read_one("was_pruned", job_id=self.id)
        if row is not None and row["was_pruned"]:
            return UnknownJob(f"job {self.id} is past its retention; see history_days")
        return UnknownJob(f"no job {self.id}; its transaction may not have committed yet")

    def attempts(self) -> list[Attempt]:
        """Every run of the job that is over, the first one first."""
        return [Attempt(**row) for row in self.hub.read("read_attempts", job_id=self.id)]

    def progress(self) -> Progress | None:
        """How far the task said last that it is, also when it has ended; None: it has not said so."""
        row = self.hub.read_one("read_progress", job_id=self.id)
        return None if row is None else Progress(**row)

    def why(self) -> str:
        """Why the job waits, runs or has ended, in one sentence; `insight.why` has the facts.

        Raises:
            UnknownJob: there is none of this id any more, or not yet.
        """
        from taskhub.queue.why import explain

        return explain(self.hub, self.id).sentence

    def cancel(self, *, reason: str = "") -> bool:
        """Cancel a job that waits, or ask a running one to stop; False: it has ended already."""
        row = self.hub.write_one("cancel_job", job_id=self.id, reason=reason)
        if row is not None and row["status"] == Status.CANCELLED.value:
            self.hub.hooks.tell(
                JobEvent(
                    name="job.cancelled",
                    job_id=self.id,
                    task_name=self.task_name,
                    queue=row["queue_name"],
                )
            )
        return row is not None

    async def status_async(self) -> Status:
        """As `status`, without blocking the event loop."""
        return await asyncio.to_thread(self.status)

    async def progress_async(self) -> Progress | None:
        """As `progress`, without blocking the event loop."""
        return await asyncio.to_thread(self.progress)

    async def result_async(self, timeout: float | None = None) -> R_co:  # noqa: ASYNC109 - the sync method's name
        """As `result`, without blocking the event loop, and without a thread for each who waits."""
        row = await asyncio.wrap_future(self.hub.lookout.ask(self.id, timeout))
        if row is None:
            if self.hub.has_transaction_here():
                raise self._unknown()
            raise await asyncio.to_thread(self._unknown)
        return self._result_of(row, timeout)
