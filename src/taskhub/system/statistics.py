"""Hours of the history added up, for when the history itself is gone; and what they come to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import Float, Integer, cast, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from taskhub.queue import Hub, history
from taskhub.system.models import Bookmark, HourStatistics

BOOKMARK = "statistics_rollup"
HOUR = timedelta(hours=1)
# An outcome that is being stored while its hour ends carries a time of that hour.
SETTLED = timedelta(minutes=2)
# What a new hub, or one that was away for long, looks back at.
LONGEST_BACK = timedelta(days=7)
By = Literal["queue", "task", "hour"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """Statistics of several hours added up.

    Attributes:
        typical_seconds, typical_wait_seconds: the hours' medians, weighted by their runs.
        slowest_p95_seconds, longest_p95_wait_seconds: of the worst hour.
    """

    name: str
    succeeded: int
    failed: int
    retried: int
    lost: int
    typical_seconds: float | None
    slowest_p95_seconds: float | None
    typical_wait_seconds: float | None
    longest_p95_wait_seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HourPoint:
    """What ended within one hour.

    Attributes:
        duration_p50_seconds, duration_p95_seconds: None where nothing ran.
    """

    hour: datetime
    succeeded: int = 0
    failed: int = 0
    retried: int = 0
    duration_p50_seconds: float | None = None
    duration_p95_seconds: float | None = None


def roll_up(hub: Hub, told: Callable[[int, int], None] = lambda _done, _of: None) -> int:
    """Add up the hours that are over and not added up yet, oldest first; how many.

    Each hour is a transaction of its own. `told` hears how many of how many are done.
    """
    with hub.transaction() as session:
        now: datetime = session.execute(select(func.now())).scalar_one()
        mark = session.get(Bookmark, BOOKMARK)
        earliest = _hour_of(now - LONGEST_BACK)
        begins_at = max(mark.at, earliest) if mark is not None else earliest
    hours = []
    while begins_at + HOUR + SETTLED <= now:
        hours.append(begins_at)
        begins_at += HOUR
    for done, hour in enumerate(hours, 1):
        _add_up(hub, hour)
        told(done, len(hours))
    return len(hours)


def _hour_of(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def _add_up(hub: Hub, hour: datetime) -> None:
    rows = [{"hour": hour, **asdict(row)} for row in history.hour(hub, hour)]
    with hub.transaction() as session:
        if rows:
            new = insert(HourStatistics).values(rows)
            kept = {c: new.excluded[c] for c in rows[0] if c not in ("hour", "queue", "task")}
            session.execute(
                new.on_conflict_do_update(index_elements=["hour", "queue", "task"], set_=kept)
            )
        move(session, BOOKMARK, hour + HOUR)


def move(session: Session, name: str, at: datetime) -> None:
    """Put a bookmark, in the caller's transaction."""
    new = insert(Bookmark).values(name=name, at=at)
    session.execute(new.on_conflict_do_update(index_elements=["name"], set_={"at": at}))


def totals(session: Session, since: datetime, *, by: By, limit: int = 500) -> list[Total]:
    """What the hours from `since` on come to, by queue or task, the most runs first, or by hour."""
    table = HourStatistics
    column = {"queue": table.queue, "task": table.task, "hour": table.hour}[by]
    runs = table.succeeded + table.failed + table.retried
    counts = [
        cast(func.sum(one), Integer)
        for one in (table.succeeded, table.failed, table.retried, table.lost)
    ]
    query = (
        select(
            column,
            *counts,
            cast(_weighted(table.duration_p50_seconds, runs), Float),
            func.max(table.duration_p95_seconds),
            cast(_weighted(table.wait_p50_seconds, runs), Float),
            func.max(table.wait_p95_seconds),
        )
        .where(table.hour >= _hour_of(since))
        .group_by(column)
        .order_by(column if by == "hour" else func.sum(runs).desc(), column)
        .limit(limit)
    )
    names = list(Total.__dataclass_fields__)
    return [
        Total(**dict(zip(names, (_name(row[0]), *row[1:]), strict=True)))
        for row in session.execute(query)
    ]


def course(
    session: Session, *, hours: int = 24, task: str | None = None, queue: str | None = None
) -> list[HourPoint]:
    """The last whole hours that were added up, oldest first, of all, one task or one queue.

    Hours in which nothing ended are there too. Medians are weighted by runs, the 95th is the worst.
    """
    mark = session.get(Bookmark, BOOKMARK)
    if mark is None:
        return []
    table = HourStatistics
    runs = table.succeeded + table.failed + table.retried
    counts = [
        cast(func.sum(one), Integer) for one in (table.succeeded, table.failed, table.retried)
    ]
    query = (
        select(
            table.hour,
            *counts,
            cast(_weighted(table.duration_p50_seconds, runs), Float),
            func.max(table.duration_p95_seconds),
        )
        .where(table.hour >= mark.at - hours * HOUR, table.hour < mark.at)
        .group_by(table.hour)
    )
    if task is not None:
        query = query.where(table.task == task)
    if queue is not None:
        query = query.where(table.queue == queue)
    names = list(HourPoint.__dataclass_fields__)
    found = {
        row[0]: HourPoint(**dict(zip(names, row, strict=True))) for row in session.execute(query)
    }
    times = [mark.at - n * HOUR for n in range(hours, 0, -1)]
    return [found.get(hour, HourPoint(hour=hour)) for hour in times]


def _weighted(seconds: object, runs: object) -> object:
    known = func.sum(runs).filter(seconds.is_not(None))  # type: ignore[attr-defined]  # a column
    return func.sum(seconds * runs) / func.nullif(known, 0)  # type: ignore[operator]  # as above


def _name(value: object) -> str:
    return value.isoformat(timespec="minutes") if isinstance(value, datetime) else str(value)
