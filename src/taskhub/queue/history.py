"""What the history comes to: failures by fingerprint, and the runs of an hour by task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import RowMapping

from taskhub.queue import sql

if TYPE_CHECKING:
    from taskhub.queue.hub import Hub

MOST_RUNS = 100_000
MOST_GROUPS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureGroup:
    """Jobs that failed for good in the same way.

    Attributes:
        failures: how many jobs; error_message and newest_job_id are of the newest one.
    """

    fingerprint: str | None
    task: str
    queue: str
    error_class: str | None
    error_message: str | None
    failures: int
    newest_job_id: int
    newest_at: datetime


@dataclass(frozen=True, slots=True)
class Failures:
    """What failed in a span of time.

    Attributes:
        groups: the largest ones, at most as many as were asked for.
        total: jobs, those of groups that are left out among them.
        more_groups: how many are left out.
    """

    groups: list[FailureGroup]
    total: int
    more_groups: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HourOfTask:
    """The runs of one task in one queue that ended within an hour; seconds are None where none counts."""

    queue: str
    task: str
    succeeded: int
    failed: int
    retried: int
    lost: int
    duration_p50_seconds: float | None
    duration_p95_seconds: float | None
    wait_p50_seconds: float | None
    wait_p95_seconds: float | None


def failures(
    hub: Hub,
    since: datetime,
    until: datetime,
    *,
    without_tasks: Sequence[str] = (),
    limit: int = MOST_GROUPS,
) -> Failures:
    """The jobs that failed for good after `since` and up to `until`, the largest group first."""
    rows = _read(
        hub, "failures_between",
        since=since, until=until, without_tasks=list(without_tasks), most=MOST_RUNS, limit=limit,
    )  # fmt: skip
    if not rows:
        return Failures([], 0, 0)
    groups = [
        FailureGroup(**{k: v for k, v in row.items() if k not in ("total", "groups")})
        for row in rows
    ]
    return Failures(groups, rows[0]["total"], rows[0]["groups"] - len(groups))


def hour(hub: Hub, begins_at: datetime) -> list[HourOfTask]:
    """What the runs that ended within the hour from `begins_at` on come to, by queue and task."""
    return [HourOfTask(**row) for row in _read(hub, "runs_of_hour", hour=begins_at)]


def _read(hub: Hub, statement: str, **parameters: Any) -> Sequence[RowMapping]:
    with hub.engine.begin() as connection:
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        query = sql.load(statement, hub.settings.schema)
        return connection.exec_driver_sql(query, parameters).mappings().all()
