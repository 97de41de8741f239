"""How jobs flow: what comes and goes in a queue, and how often a task is tried again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from taskhub.queue.insight import asking

if TYPE_CHECKING:
    from taskhub.queue.hub import Hub

MOST_LINES = 500
# Of jobs that came lately so many are counted; a million that waits is not.
MOST_CAME = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """A queue's jobs within a time: how many came, and how many ended."""

    queue: str
    came: int
    went: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """A task's runs within a time, and how many of them will be tried again."""

    task: str
    runs: int
    retried: int


def flows(hub: Hub, within: timedelta, *, limit: int = MOST_LINES) -> list[Flow]:
    """What came and went in each queue, by name; reads the newest 100,000 jobs and the runs of that time."""
    rows = _rows(hub, "count_flow", within, limit, most=MOST_CAME)
    return [Flow(**row) for row in rows]


def moving(hub: Hub, within: timedelta, *, limit: int = MOST_LINES) -> set[str]:
    """The queues in which a job ended within this time; reads the runs of that time."""
    return {row["queue"] for row in _rows(hub, "moving_queues", within, limit)}


def retries(hub: Hub, within: timedelta, *, limit: int = MOST_LINES) -> list[Retries]:
    """How often each task was tried again, the most often first; reads the runs of that time."""
    return [Retries(**row) for row in _rows(hub, "count_retries", within, limit)]


def _rows(hub: Hub, statement: str, within: timedelta, limit: int, **more: int) -> Any:
    asked = {"seconds": within.total_seconds(), "limit": limit, **more}
    with asking.moment(hub) as connection:
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        return asking.read(hub, connection, statement, **asked)
