"""What waits in each queue, and what waits in vain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from taskhub.queue.fairness import MOST_KEYS, FairKey
from taskhub.queue.insight import asking
from taskhub.queue.states import HeldKey, QueueState, TaskCount

if TYPE_CHECKING:
    from taskhub.queue.hub import Hub

MOST_QUEUES = 500
MOST_TASKS = 50
MOST_HELD = 20


def queues(hub: Hub, *, limit: int = MOST_QUEUES) -> list[QueueState]:
    """Every queue that holds jobs or has a worker of its own, by name; counts the jobs table."""
    return [QueueState(**row) for row in asking.rows(hub, "list_queues", limit=limit)]


def fair_keys(hub: Hub, queue: str, *, limit: int = MOST_KEYS) -> list[FairKey]:
    """The fair keys of a queue whose jobs wait for their turns, by name, with their weights."""
    found = asking.rows(hub, "list_fair_keys", queue=queue, limit=limit)
    return [FairKey(**row) for row in found]


def unserved(hub: Hub, *, limit: int = MOST_TASKS) -> list[TaskCount]:
    """Waiting jobs whose queue is served by workers of which none knows their task, or its version."""
    return [TaskCount(**row) for row in asking.rows(hub, "unserved_tasks", limit=limit)]


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
