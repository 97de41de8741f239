"""What each task's runs came to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from taskhub.queue.insight import asking
from taskhub.queue.minutes import Durations

if TYPE_CHECKING:
    from taskhub.queue.hub import Hub

MOST_TASKS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRuns:
    """The runs of one task.

    Attributes:
        p50_seconds, p95_seconds: to a tenth; slowest_seconds exactly.
        last_success_at: the minute.
    """

    task: str
    queues: list[str]
    deferred: int
    succeeded: int
    failed: int
    retried: int
    lost: int
    p50_seconds: float | None
    p95_seconds: float | None
    slowest_seconds: float | None
    slowest_job_id: int | None
    last_success_at: datetime | None

    @property
    def runs(self) -> int:
        """All that ended by themselves or were lost."""
        return self.succeeded + self.failed + self.retried + self.lost


def tasks(
    hub: Hub, *, since: timedelta = timedelta(hours=1), limit: int = MOST_TASKS
) -> list[TaskRuns]:
    """What the runs of each task came to within `since`, a day at most, the most runs first.

    Of minutes that are added up: the last one or two are not in it.
    """
    with asking.moment(hub) as connection:
        [clock] = asking.read(hub, connection, "read_minutes_until")
        began = clock["now"] - since
        rows = asking.read(hub, connection, "tasks_since", since=began, limit=limit)
        took = asking.read(hub, connection, "durations_since", since=began, by_task=True)
    by_task = {row["name"]: Durations(row["buckets"], row["counts"]) for row in took}
    none = Durations((), ())
    return [
        TaskRuns(
            **row,
            p50_seconds=by_task.get(row["task"], none).percentile(0.5),
            p95_seconds=by_task.get(row["task"], none).percentile(0.95),
        )
        for row in rows
    ]
