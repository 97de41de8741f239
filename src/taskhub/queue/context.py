"""What a running task is told about itself."""

from __future__ import annotations

import logging
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlalchemy import Connection
from sqlalchemy.orm import Session

from taskhub.queue import settling, sql
from taskhub.queue.progress import Report

if TYPE_CHECKING:
    from taskhub.queue.hub import Hub

logger = logging.getLogger("taskhub.task")


class ClaimLost(RuntimeError):
    """This worker's claim on the job is over: another one may run it, so nothing is committed."""


# Not frozen: a frozen one takes three times as long to make, and each run has one.
@dataclass(slots=True, eq=False)
class Context:
    """One attempt of one job; a task gets it by annotating its first parameter with this class.

    Attributes:
        attempt: 1 for the first run; for logs, never for idempotency keys.
        claim: +1 each time a worker takes the job; never used twice.
        cancelled: whether somebody asked that this job stop; a task that works long looks now and
            then.
        knows_of_request: whether the task has found the request to stop by asking for it.
        has_reported: whether the task has said how far it is.
        traceparent: the span that this attempt is, as W3C writes it; None: nobody traces it.
        hidden: what of the job's secrets must not be seen in its log and its errors.
    """

    hub: Hub
    job_id: int
    task_name: str
    queue: str
    attempt: int
    claim: int
    worker_id: int
    hub_id: str
    cancelled: bool = False
    knows_of_request: bool = False
    has_reported: bool = False
    is_settled: bool = False
    traceparent: str | None = None
    hidden: tuple[str, ...] = field(default=(), repr=False)

    def progress(self, done: float, of: float | None = None, note: str = "") -> None:
        """Say how far the job is: `done` of `of`, in whatever unit; `job.progress()` reads it.

        Never waits, so call it as often as you like, in a coroutine too: at most every half second
        the newest one is stored, in a transaction of its own, and the last one always.

        Raises:
            ValueError, TypeError: `done` below 0, `of` not above it, or no numbers.
        """
        report = Report.of(done, of, note)
        self.has_reported = True
        self.hub.reporter.report(self, report)

    @property
    def claims(self) -> list[tuple[int, int]]:
        """Job and claim of whatever runs here: one, or all jobs of a batch task's call."""
        return [(self.job_id, self.claim)]

    @property
    def trace_id(self) -> str | None:
        """The trace that this attempt belongs to, 32 hex digits; None: nobody traces it."""
        return None if self.traceparent is None else self.traceparent.split("-")[1]

    @property
    def idempotency_key(self) -> str:
        """The same on every attempt of this job, unlike any other job's, in any database."""
        return f"{self.hub_id}-{self.job_id}"

    @property
    def log(self) -> logging.LoggerAdapter[logging.Logger]:
        """A logger whose records carry job_id, task, queue and attempt."""
        known = {
            "job_id": self.job_id,
            "task": self.task_name,
            "queue": self.queue,
            "attempt": self.attempt,
        }
        return logging.LoggerAdapter(logger, known)

    def settle(self, name: str, actual: float) -> None:
        """Give back the tokens of this job's limit that it did not need, or take those it needed more.

        Once in each run, in a transaction of its own: what the task writes may still roll back. A key
        without a rate has nothing to settle. On the event loop use `settle_async`.

        Raises:
            ValueError: `name` is not the job's limit.
            RuntimeError: this run has settled already.
            ClaimLost: the job was given to another worker.
        """
        settling.settle(self, name, actual)

    async def settle_async(self, name: str, actual: float) -> None:
        """As `settle`, for coroutines."""
        await settling.settle_async(self, name, actual)

    def fence(self, session: Session | Connection) -> None:
        """Check, in the caller's transaction, that this attempt still owns its job.

        `hub.transaction()` inside a running job does so by itself, right before its commit.

        Raises:
            ClaimLost: the job was given to another worker; roll back.
        """
        connection = session.connection() if isinstance(session, Session) else session
        check_claim(connection, self)

    def is_asked_to_stop(self, session: Session | Connection) -> bool:
        """Whether somebody asked that this job stop, as the caller's transaction sees it.

        `cancelled` hears of it within two seconds, or by this. A job that hands its work on to another
        one would be over by then, and the request with it: ask here before you commit.
        """
        connection = session.connection() if isinstance(session, Session) else session
        query = sql.load("is_asked_to_stop", self.hub.settings.schema)
        told = {"job_id": self.job_id, "claim": self.claim}
        if connection.exec_driver_sql(query, told).scalar_one():
            self.cancelled = self.knows_of_request = True
        return self.knows_of_request


def check_claim(connection: Connection, context: Context) -> None:
    """Raise ClaimLost unless the job's row still names this worker and this claim."""
    if len(claims := context.claims) > 1:
        _check_claims(connection, context, claims)
        return
    query = sql.load("check_claim", context.hub.settings.schema)
    held = connection.exec_driver_sql(
        query,
        {"job_id": context.job_id, "worker_id": context.worker_id, "claim": context.claim},
    ).scalar()
    if not held:
        raise ClaimLost(
            f"job {context.job_id} was given to another worker while this one was away; "
            "its writes are rolled back"
        )


def _check_claims(connection: Connection, context: Context, claims: list[tuple[int, int]]) -> None:
    told = {
        "job_ids": [job_id for job_id, _ in claims],
        "claims": [claim for _, claim in claims],
        "worker_id": context.worker_id,
    }
    query = sql.load("check_claims", context.hub.settings.schema)
    held = connection.exec_driver_sql(query, told).scalar_one()
    if held < len(claims):
        raise ClaimLost(
            f"{len(claims) - held} of {len(claims)} jobs of this call were given to another worker "
            "while this one was away; its writes are rolled back"
        )


# The attempt that runs in this asyncio task or thread.
running: ContextVar[Context | None] = ContextVar("taskhub_running", default=None)
