"""Changes that an operator asks for, to jobs that ended without success or have not ended."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from psycopg import errors
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from taskhub.queue import insight, sql
from taskhub.queue.events import JobEvent
from taskhub.queue.filters import JobFilter
from taskhub.queue.jobs import Job, UnknownJob
from taskhub.queue.states import JobLine

if TYPE_CHECKING:
    from taskhub.queue.hub import Hub

CHUNK = 1000
TRIES = 5
ENDED_BADLY = ("failed", "aborted", "cancelled")
SAMPLES = 5


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


@dataclass(frozen=True, slots=True)
class Preview:
    """What a bulk retry would take: `jobs` of them, none above `highest_id`."""

    jobs: int
    highest_id: int | None
    samples: list[JobLine]


def retry(hub: Hub, job_ids: Iterable[int]) -> list[Retried]:
    """Let failed, aborted and cancelled jobs wait again as if new; one answer an id, by id.

    Each thousand of them is a transaction of its own.
    """
    ids = sorted(set(job_ids))
    return [r for n in range(0, len(ids), CHUNK) for r in _retry(hub, ids[n : n + CHUNK], NOW)]


def preview_failed(hub: Hub, wanted: JobFilter, *, limit: int | None = None) -> Preview:
    """How many failed jobs match now, with the newest of them; changes nothing."""
    asked = {k: v for k, v in wanted.parameters().items() if k != "statuses"}
    [row] = hub.read("count_failed", **asked)
    samples = insight.jobs(hub, replace(wanted, statuses=("failed",)), limit=SAMPLES)
    jobs = row["jobs"] if limit is None else min(row["jobs"], limit)
    return Preview(jobs, row["highest_id"], samples[:jobs])


def retry_failed(
    hub: Hub,
    wanted: JobFilter,
    *,
    limit: int | None = None,
    up_to_id: int | None = None,
    dry_run: bool = False,
    jobs_per_second: float | None = None,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Let failed jobs that match wait again, the oldest first; how many did, or would.

    Jobs above `up_to_id` are left alone (default: the highest that matches at the start), and none
    is taken twice, so a job that fails again while this runs does not come round. Each thousand is
    a transaction of its own; `progress` hears the number so far after each. With `jobs_per_second`
    they are not all ready at once: each waits for a date of its own, spaced so, on the database's clock.

    Raises:
        ValueError: jobs_per_second is not above 0 and finite.
    """
    spread = _spread(hub, jobs_per_second)
    if dry_run:
        return preview_failed(hub, wanted, limit=limit).jobs
    if up_to_id is None:
        up_to_id = preview_failed(hub, wanted).highest_id
    asked = {k: v for k, v in wanted.parameters().items() if k != "statuses"}
    done, after_id = 0, 0
    while up_to_id is not None and (limit is None or done < limit):
        slots = CHUNK if limit is None else min(CHUNK, limit - done)
        rows = hub.read("find_failed", **asked, after_id=after_id, up_to_id=up_to_id, limit=slots)
        if not rows:
            break
        ids = [row["id"] for row in rows]
        after_id = ids[-1]
        retried = _retry(hub, ids, replace(spread, placed_before=done), statuses=("failed",))
        done += sum(r.outcome == "retried" for r in retried)
        if progress is not None:
            progress(done)
    return done


def _spread(hub: Hub, jobs_per_second: float | None) -> Spread:
    if jobs_per_second is None:
        return NOW
    if not 0 < jobs_per_second < math.inf:
        raise ValueError(f"jobs_per_second must be above 0 and finite, got {jobs_per_second}")
    [clock] = hub.read("read_clock")
    return Spread(clock["now"], 1 / jobs_per_second)


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


def _retry(
    hub: Hub, ids: Sequence[int], spread: Spread, statuses: Sequence[str] = ENDED_BADLY
) -> list[Retried]:
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
