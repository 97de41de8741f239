"""What is held now: workers by what they run, locks by who has them.

Every function reads on a connection of its own and gives a bounded list.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from taskhub.queue.hub import Hub

# Who waits for one lock is counted up to here.
MOST_WAITING = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningJob:
    """A job that runs now.

    Attributes:
        worker_id: None for a job that a plain procrastinate worker lost.
        seconds: since it started, on the database's clock.
        done, out_of, note: how far it is, where its task says so.
    """

    job_id: int
    worker_id: int | None
    task: str
    queue: str
    attempt: int
    seconds: float | None
    done: float | None
    out_of: float | None
    note: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldLock:
    """A lock that a running job has or that jobs wait for.

    Attributes:
        holder_id: the job that has it, which may not have started yet; None: it is free.
        waiting: jobs behind it; MOST_WAITING stands for that many or more.
    """

    name: str
    holder_id: int | None
    holder_task: str | None
    holder_status: str | None
    worker_id: int | None
    waiting: int


def work(hub: Hub, *, limit: int = 500) -> list[RunningJob]:
    """What runs now, by worker and job."""
    return [RunningJob(**row) for row in hub.read("list_work", limit=limit)]


def locks(hub: Hub, *, limit: int = 200) -> list[HeldLock]:
    """Locks that are held or waited for, by name; `limit` of the ones and of the others at most."""
    return [HeldLock(**row) for row in hub.read("list_locks", limit=limit, most=MOST_WAITING)]
