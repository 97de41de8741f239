"""What became of the jobs that a worker ran, and how it is told to the database."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from taskhub.queue.attempts import Failure
from taskhub.queue.retries import Again

EXPIRED = Failure(error_class="Cancelled", error_message="expired", traceback="", fingerprint="")


class Claimed(NamedTuple):
    """A job as its claim returned it; `args` is the text of a JSON value.

    Attributes:
        claim: the fence: who does not know it cannot store an outcome.
        lost: how many workers this job was lost with.
        version: of its arguments; None is 1.
        is_expired: whether it was claimed after the time until which it could start.
        place: where it stood in its lane: its id, or where its fair key's turn put it.
        waited_seconds: since it was due when it was claimed; None: not known.
        trace: who deferred it, as a JSON object of the headers that traces are carried in.
    """

    id: int
    queue_name: str
    task_name: str
    priority: int
    lock: str | None
    queueing_lock: str | None
    args: str
    attempts: int
    claim: int
    lost: int
    scheduled_at: datetime | None
    version: int | None
    is_expired: bool | None
    place: float
    waited_seconds: float | None = None
    trace: str | None = None


class Succeeded(NamedTuple):
    """The job is done; `result` is JSON text, `log` what it logged."""

    job: Claimed
    result: str | None = None
    log: str | None = None

    @property
    def may_wait(self) -> bool:
        """Whether storing it could wait for somebody's transaction, or be refused."""
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The job has ended for good, as `failed` or `aborted`; one that did not run as `expired`."""

    job: Claimed
    failure: Failure
    status: str = "failed"
    log: str | None = None

    @property
    def may_wait(self) -> bool:
        """As in Succeeded."""
        return False

    def told(self) -> dict[str, Any]:
        """One element of what outcomes_v1 takes."""
        return {**_about(self.job, self.failure, self.log), "outcome": self.status}


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """The job waits again; `outcome` is retried, snoozed, interrupted or unknown.

    Attributes:
        keeps_queueing_lock: False where another job with it came to wait meanwhile.
        is_throttled: its provider had too many requests.
        has_feedback: and its task declares that this is to count.
    """

    job: Claimed
    outcome: str
    again: Again
    failure: Failure | None = None
    log: str | None = None
    keeps_queueing_lock: bool = True
    is_throttled: bool = False
    has_feedback: bool = False

    @property
    def may_wait(self) -> bool:
        """A job with the same queueing lock may wait, or be in a transaction that is still open."""
        return self.job.queueing_lock is not None

    def told(self) -> dict[str, Any]:
        """One element of what outcomes_v1 takes."""
        again = self.again
        heard = {"is_throttled": True} if self.is_throttled else {}
        if self.is_throttled and self.has_feedback:
            heard["has_feedback"] = True
        return {
            **heard,
            **_about(self.job, self.failure, self.log),
            "outcome": self.outcome,
            "delay_seconds": again.in_seconds,
            "at": again.at.isoformat() if again.at is not None else None,
            "priority": again.priority,
            "queue_name": again.queue,
            "lock": again.lock,
            "drop_queueing_lock": not self.keeps_queueing_lock,
        }


class Stored(NamedTuple):
    """The job is done, and the history has it: its task's own transaction wrote it there."""

    job: Claimed


Ack = Succeeded | Failed | Returned


def not_run(job: Claimed) -> Returned:
    """It was claimed and nobody began it: it waits again at once, and no attempt is used."""
    return Returned(job=job, outcome="interrupted", again=Again(in_seconds=0.0))


def unknown(job: Claimed) -> Returned:
    """Its task, or the version of its arguments, is not known here: it waits for a worker that knows it."""
    return Returned(job=job, outcome="unknown", again=Again())


def expired(job: Claimed) -> Failed:
    """It did not start by its time."""
    return Failed(job=job, failure=EXPIRED, status="expired")


def parameters(acks: Iterable[Ack]) -> dict[str, Any]:
    """The acks as tick_v1 takes them."""
    done = [ack for ack in acks if isinstance(ack, Succeeded)]
    others = [ack.told() for ack in acks if not isinstance(ack, Succeeded)]
    has_more = any(ack.result is not None or ack.log is not None for ack in done)
    # Literals of our own: psycopg's adaption of a list costs more than all the rest of a tick.
    return {
        "done_ids": f"{{{str([ack.job.id for ack in done])[1:-1]}}}",
        "done_claims": f"{{{str([ack.job.claim for ack in done])[1:-1]}}}",
        "done_extras": f"[{','.join([extra(ack.result, ack.log) for ack in done])}]"
        if has_more
        else None,
        "outcomes": json.dumps(others) if others else None,
    }


def extra(result: str | None, log: str | None) -> str:
    """What ack_v1 stores beside a job that succeeded, as JSON: its result, JSON itself, and its log."""
    if result is None and log is None:
        return "null"
    return f'{{"r":{result if result is not None else "null"},"l":{json.dumps(log)}}}'


def _about(job: Claimed, failure: Failure | None, log: str | None) -> dict[str, Any]:
    return {
        "id": job.id,
        "claim": job.claim,
        "error_class": failure.error_class if failure else None,
        "error_message": failure.error_message if failure else None,
        "traceback": failure.traceback if failure else None,
        "fingerprint": failure.fingerprint if failure else None,
        "log": log,
    }
