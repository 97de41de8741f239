"""Retry and cancel of jobs whose ids are named."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from psycopg import errors
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from taskhub.queue import insight, sql
from taskhub.queue.events import JobEvent
from taskhub.queue.jobs import Job, UnknownJob

if TYPE_CHECKING:
    from taskhub.queue.hub import Hub

CHUNK = 1000
TRIES = 5
ENDED_BADLY = ("failed", "aborted", "cancelled")


@dataclass(frozen=True, slots=True)
class Retried:
    """What became of one id; `was` is the status before, None for an unknown one."""

    job_id: int
    was: str | None
    outcome: Literal["retried", "not failed", "changed meanwhile", "unknown"]


@dataclass(frozen=True, slots=True)
class Cancelled:
    """What became of one id: a running job is asked to stop and ends by itself."""

    job_id: int
    outcome: Literal["cancelled", "asked to stop", "ended already", "unknown"]


@dataclass(frozen=True, slots=True)
class Spread:
    """When retried jobs are due: one at `start_at`, the next a step later; None is at once."""

    start_at: datetime | None
    step_seconds: float
    placed_before: int = 0


NOW = Spread(None, 0.0)


def retry(hub: Hub, job_ids: Iterable[int]) -> list[Retried]:
    """Let failed, aborted and cancelled jobs wait again as if new; one answer an id, by id.

    Each thousand of them is a transaction of its own.
    """
    ids = sorted(set(job_ids))
    return [r for n in range(0, len(ids), CHUNK) for r in retry_chunk(hub, ids[n : n + CHUNK], NOW)]


def cancel(hub: Hub, job_ids: Iterable[int], *, reason: str = "") -> list[Cancelled]:
    """Cancel jobs that wait and ask running ones to stop; one answer an id, by id."""
    return [_cancel(hub, job_id, reason) for job_id in sorted(set(job_ids))]


def cancel_within(
    session: Session, hub: Hub, job_ids: Iterable[int], *, reason: str = ""
) -> list[int]:
    """Cancel jobs and ask running ones to stop, in the caller's transaction; those that had not ended.

    A job that waits stays locked until the transaction ends; if it rolls back, nothing was asked.
    """
    query = sql.load("cancel_jobs", hub.settings.schema)
    told = {"job_ids": sorted(set(job_ids)), "reason": reason}
    rows = session.connection().exec_driver_sql(query, told).mappings().all()
    for row in rows:
        if row["status"] == "cancelled":
            hub.hooks.tell(
                JobEvent(
                    name="job.cancelled",
                    job_id=row["id"],
                    task_name=row["task_name"],
                    queue=row["queue_name"],
                )
            )
    return [row["id"] for row in rows]


def _cancel(hub: Hub, job_id: int, reason: str) -> Cancelled:
    try:
        found = insight.job(hub, job_id)
    except UnknownJob:
        return Cancelled(job_id, "unknown")
    if not Job(job_id, found.task, hub).cancel(reason=reason):
        return Cancelled(job_id, "ended already")
    # A worker may have taken it since it was read, or have stored its end since it was asked.
    now = insight.job(hub, job_id)
    return Cancelled(job_id, "cancelled" if now.status == "cancelled" else "asked to stop")


def retry_chunk(
    hub: Hub, ids: Sequence[int], spread: Spread, statuses: Sequence[str] = ENDED_BADLY
) -> list[Retried]:
    """As `retry`, in one transaction, of jobs in one of these statuses."""
    for tries_left in reversed(range(TRIES)):
        try:
            rows = hub.write(
                "retry_jobs", job_ids=list(ids), statuses=list(statuses), **asdict(spread)
            )
            return [Retried(row["job_id"], row["was"], row["outcome"]) for row in rows]
        except IntegrityError as error:
            # A job with one of their queueing locks was deferred in between; the next try sees it.
            if not tries_left or not isinstance(error.orig, errors.UniqueViolation):
                raise
    raise AssertionError("the last try returns or raises")
