"""What waits in each queue, and what waits in vain."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlalchemy import Connection, RowMapping

from taskhub.queue.fairness import MOST_KEYS, FairKey
from taskhub.queue.insight import asking
from taskhub.queue.states import HeldKey, QueueState, TaskCount

if TYPE_CHECKING:
    from taskhub.queue.hub import Hub

MOST_QUEUES = 500
# Where counting ends.
MOST_COUNTED = 10_000
MOST_OF_LANE = 3_000
KINDS = ("ready", "scheduled", "running", "failed")
_STATUSES = {
    "ready": "todo",
    "held": "todo",
    "scheduled": "todo",
    "running": "doing",
    "failed": "failed",
}
MOST_TASKS = 50
MOST_HELD = 20


def queues(hub: Hub, *, limit: int = MOST_QUEUES) -> list[QueueState]:
    """Every queue that holds jobs, has a worker of its own, had runs within the hour or is paused, by name.

    Counts are exact up to 3,000 ready jobs of a priority, and 10,000 of another kind; beyond they are the
    planner's estimates.
    """
    with asking.moment(hub) as connection:
        depths = measure(hub, connection)
        known = asking.read(hub, connection, "live_queues")
    return states(depths, known)[:limit]


def states(depths: Depths, known: Sequence[RowMapping]) -> list[QueueState]:
    """What was measured, and what live_queues knows, as one row a queue."""
    serving_all = sum(row["workers"] for row in known if row["queue"] is None)
    own = {row["queue"]: row["workers"] for row in known if row["queue"] is not None}
    return [
        QueueState(
            queue=name,
            **{kind: depths.jobs.get((name, kind), 0) for kind in KINDS},
            oldest_ready_seconds=depths.oldest_seconds.get(name),
            workers=own.get(name, 0) + serving_all,
            estimated=tuple(k for k in KINDS if (name, k) in depths.estimated),
        )
        for name in sorted({name for name, _ in depths.jobs} | set(own))
    ]


@dataclass(slots=True)
class Depths:
    """How many jobs stand where, by queue and kind.

    Attributes:
        estimated: where counting came to its end.
    """

    jobs: dict[tuple[str, str], int] = field(default_factory=dict)
    estimated: set[tuple[str, str]] = field(default_factory=set)
    oldest_seconds: dict[str, float] = field(default_factory=dict)

    def add(self, row: RowMapping, estimate: Callable[[str, str, int | None], int]) -> None:
        """Take one row of measure_queues in."""
        queue, kind = row["queue"], "ready" if row["kind"] == "held" else row["kind"]
        jobs = row["jobs"]
        if row["is_capped"]:
            # The planner may be wrong, but there are no fewer than were counted.
            jobs = max(jobs, estimate(queue, row["kind"], row["gate"]))
            self.estimated.add((queue, kind))
        self.jobs[queue, kind] = self.jobs.get((queue, kind), 0) + jobs
        if row["oldest_seconds"] is not None:
            before = self.oldest_seconds.get(queue, 0.0)
            self.oldest_seconds[queue] = max(before, row["oldest_seconds"])


def measure(hub: Hub, connection: Connection) -> Depths:
    """Count what stands in the jobs table, in the moment of `connection`."""
    depths = Depths()

    def estimate(queue: str, kind: str, gate: int | None) -> int:
        [row] = asking.read(
            hub, connection, "estimate_jobs", status=_STATUSES[kind], gate=gate, queue=queue
        )
        return int(row["QUERY PLAN"][0]["Plan"]["Plan Rows"])

    with asking.by_index(connection):
        rows = asking.read(
            hub, connection, "measure_queues", most=MOST_COUNTED, most_of_lane=MOST_OF_LANE
        )
    for row in rows:
        depths.add(row, estimate)
    return depths


def fair_keys(hub: Hub, queue: str, *, limit: int = MOST_KEYS) -> list[FairKey]:
    """The fair keys of a queue whose jobs wait for their turns, by name, with their weights."""
    found = asking.rows(hub, "list_fair_keys", queue=queue, limit=limit)
    return [FairKey(**row) for row in found]


def unserved(hub: Hub, *, limit: int = MOST_TASKS) -> list[TaskCount]:
    """Waiting jobs whose queue is served by workers of which none knows their task, or its version.

    Of ready jobs the first thousand of each queue and priority are looked at, so counts are at least.
    """
    with asking.moment(hub) as connection, asking.by_index(connection):
        found = asking.read(hub, connection, "unserved_tasks", limit=limit)
    return [TaskCount(**row) for row in found]


def held_keys(hub: Hub, *, limit: int = MOST_HELD) -> list[HeldKey]:
    """Keys whose jobs wait because a breaker is open or tokens are missing, by name."""
    return [HeldKey(**row) for row in asking.rows(hub, "held_keys", limit=limit)]


def foreign(
    hub: Hub, queues: Sequence[str] | None = None, *, limit: int = MOST_TASKS
) -> list[TaskCount]:
    """Waiting jobs in these queues (None: in all) whose task this hub does not have."""
    asked = None if queues is None else list(queues)
    found = asking.rows(hub, "foreign_tasks", queues=asked, tasks=list(hub.tasks), limit=limit)
    return [TaskCount(**row) for row in found]
