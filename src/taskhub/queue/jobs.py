"""A job as its deferrer sees it: where it stands, what it returned, how often it was tried."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from procrastinate.jobs import Status

from taskhub.queue.events import JobEvent

if TYPE_CHECKING:
    from taskhub.queue.hub import Hub

R_co = TypeVar("R_co", covariant=True)
FINAL = frozenset({Status.SUCCEEDED, Status.FAILED, Status.CANCELLED, Status.ABORTED})


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
    """A handle on one job; every method asks the database anew, on a connection of the hub."""

    id: int
    task_name: str
    hub: Hub

    def status(self) -> Status:
        """Where the job stands.

        Raises:
            UnknownJob: its transaction has not committed, or its history is gone.
        """
        row = self.hub.read_one("read_status", job_id=self.id)
        if row is None:
            raise UnknownJob(f"no job {self.id}; its transaction may not have committed yet")
        return Status(row["status"])

    def result(self, timeout: float | None = None) -> R_co:
        """What the task returned, as JSON gives it back; waits up to `timeout` seconds, or for ever.

        Raises:
            JobNotDone: the time is up.
            JobFailed: the job failed or was cancelled.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        pause = 0.02
        while (status := self.status()) not in FINAL:
            left = pause if deadline is None else deadline - time.monotonic()
            if left <= 0:
                raise JobNotDone(f"job {self.id} is still {status.value} after {timeout} seconds")
            time.sleep(min(pause, left))
            pause = min(pause * 1.5, 1.0)  # a long job is asked for once a second
        if status is not Status.SUCCEEDED:
            last = next(iter(reversed(self.attempts())), None)
            why = f": {last.error_class}: {last.error_message}" if last and last.error_class else ""
            raise JobFailed(f"job {self.id} {status.value}{why}")
        row = self.hub.read_one("read_result", job_id=self.id)
        return cast(R_co, row["result"] if row else None)

    def attempts(self) -> list[Attempt]:
        """Every run of the job that is over, the first one first."""
        return [Attempt(**row) for row in self.hub.read("read_attempts", job_id=self.id)]

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

    async def result_async(self, timeout: float | None = None) -> R_co:  # noqa: ASYNC109 - the sync method's name
        """As `result`, without blocking the event loop."""
        return cast(R_co, await asyncio.to_thread(cast(Any, self).result, timeout))
