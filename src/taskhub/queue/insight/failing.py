"""Which jobs stand as failed, by what went wrong."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from taskhub.queue.filters import JobFilter
from taskhub.queue.insight import asking

if TYPE_CHECKING:
    from taskhub.queue.hub import Hub

MOST_GROUPS = 100
# An error is looked up for each: 5 to 10 us a job, measured in December 2026.
MOST_JOBS = 5_000
_LAST_ID = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureGroup:
    """Failed jobs with the same last error.

    Attributes:
        fingerprint: None: no run that is kept told an error.
        failures: how many jobs; error_message and newest_job_id are of the one that failed last.
        first_at, newest_at: when the first and the last of them failed, within the time asked for.
        tasks, queues: all of theirs, by name.
    """

    fingerprint: str | None
    error_class: str | None
    error_message: str | None
    failures: int
    first_at: datetime
    newest_at: datetime
    newest_job_id: int
    tasks: list[str]
    queues: list[str]

    @property
    def filter(self) -> JobFilter:
        """Finds its jobs; where there is no fingerprint, all failed ones of its task."""
        if self.fingerprint is None:
            return JobFilter(statuses=("failed",), tasks=tuple(self.tasks))
        return JobFilter(statuses=("failed",), fingerprint=self.fingerprint)


@dataclass(frozen=True, slots=True)
class Failures:
    """What stands as failed.

    Attributes:
        groups: the largest ones.
        jobs: of all groups, those that are left out among them.
        more_groups: how many are left out.
        searched: only so many of the newest failed jobs were looked at; None: all.
    """

    groups: list[FailureGroup]
    jobs: int
    more_groups: int
    searched: int | None


def failures(
    hub: Hub, *, since: timedelta = timedelta(days=1), limit: int = MOST_GROUPS
) -> Failures:
    """The jobs that failed within `since` and still stand as failed, the largest group first."""
    with asking.moment(hub) as connection, asking.by_index(connection):
        rows = asking.read(
            hub, connection, "failure_groups",
            since_seconds=since.total_seconds(), most=MOST_JOBS, limit=limit,
        )  # fmt: skip
        if not rows:
            last = {
                "statuses": ["failed"], "queues": None, "tasks": None, "before_id": _LAST_ID,
                "limit": MOST_JOBS,
            }  # fmt: skip
            return Failures(
                [], 0, 0, _searched(len(asking.read(hub, connection, "ended_ids", **last)))
            )
    totals = ("jobs", "groups", "looked_at")
    groups = [
        FailureGroup(**{name: value for name, value in row.items() if name not in totals})
        for row in rows
    ]
    first = rows[0]
    left_out = first["groups"] - len(groups)
    return Failures(groups, first["jobs"], left_out, _searched(first["looked_at"]))


def _searched(looked_at: int) -> int | None:
    return MOST_JOBS if looked_at >= MOST_JOBS else None
