"""How jobs flow: what comes and goes in a queue, and how often a task is tried again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from taskhub.queue.insight import asking

if TYPE_CHECKING:
    from taskhub.queue.hub import Hub

MOST_LINES = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """A queue's jobs within a time: how many came, how many ended, and how many are ready now."""

    queue: str
    ready: int
    came: int
    went: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """A task's runs within a time, and how many of them will be tried again."""

    task: str
    runs: int
    retried: int


def flows(hub: Hub, within: timedelta, *, limit: int = MOST_LINES) -> list[Flow]:
    """What came and went in each queue, by name; counts the jobs table and the runs of that time."""
    return [Flow(**row) for row in _rows(hub, "count_flow", within, limit)]


def retries(hub: Hub, within: timedelta, *, limit: int = MOST_LINES) -> list[Retries]:
    """How often each task was tried again, the most often first; reads the runs of that time."""
    return [Retries(**row) for row in _rows(hub, "count_retries", within, limit)]


def _rows(hub: Hub, statement: str, within: timedelta, limit: int) -> Any:
    with asking.moment(hub) as connection:
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        return asking.read(hub, connection, statement, seconds=within.total_seconds(), limit=limit)
