"""What the queue holds, as the command line and every screen see it: asked of SQL, never of workers.

Every function reads on a connection of its own and gives a bounded list.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from taskhub.queue.jobs import Attempt, UnknownJob

if TYPE_CHECKING:
    from taskhub.queue.hub import Hub

MOST_QUEUES = 500
MOST_TASKS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueState:
    """What one queue holds now.

    Attributes:
        oldest_ready_seconds: how long the oldest ready job could have been running already.
        workers: how many live workers serve it.
    """

    queue: str
    ready: int
    scheduled: int
    running: int
    failed: int
    oldest_ready_seconds: float | None
    workers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerState:
    """One worker process; a plain procrastinate worker is known by its id alone.

    Attributes:
        queues: None serves all.
        state: "live", "lost", or why it stopped.
    """

    id: int
    name: str | None
    host: str | None
    pid: int | None
    version: str | None
    queues: list[str] | None
    concurrency: int | None
    state: str
    running: int
    started_at: datetime | None
    heartbeat_at: datetime | None
    stopped_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobLine:
    """One job in a list; the error is the last one it met."""

    id: int
    task: str
    queue: str
    status: str
    attempts: int
    priority: int | None
    lock: str | None
    deferred_at: datetime | None
    scheduled_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    worker_id: int | None
    error_class: str | None
    error_message: str | None
    fingerprint: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobDetail:
    """One job with its arguments, its result and its history, the first run first."""

    id: int
    task: str
    queue: str
    status: str
    attempts: int
    lost: int
    priority: int | None
    lock: str | None
    queueing_lock: str | None
    args: dict[str, Any] | None
    result: Any
    abort_requested: bool
    deferred_at: datetime | None
    scheduled_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    worker_id: int | None
    history: list[Attempt]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many jobs stand where; the last two count what happened lately."""

    ready: int
    scheduled: int
    running: int
    failed: int
    cancelled: int
    aborted: int
    succeeded_lately: int
    failed_runs_lately: int


@dataclass(frozen=True, slots=True)
class TaskCount:
    """Waiting jobs of one task in one queue."""

    queue: str
    task: str
    jobs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """Which jobs are meant; what is empty leaves nothing out.

    Attributes:
        tasks: names or globs.
        since: deferred, started or ended within this time on the database's clock, or since then.
        error: a glob over the last error's class, message, or both as "class: message"; without
            `*` and `?` it is looked for inside them. Case does not matter.
    """

    queues: Sequence[str] = ()
    tasks: Sequence[str] = ()
    statuses: Sequence[str] = ()
    since: datetime | timedelta | None = None
    error: str | None = None
    fingerprint: str | None = None

    def parameters(self) -> dict[str, Any]:
        """What the statements take."""
        since = self.since
        return {
            "queues": list(self.queues) or None,
            "tasks": [like(task) for task in self.tasks] or None,
            "statuses": list(self.statuses) or None,
            "since_at": since if isinstance(since, datetime) else None,
            "since_seconds": since.total_seconds() if isinstance(since, timedelta) else None,
            "error": None if self.error is None else _anywhere(self.error),
            "fingerprint": self.fingerprint,
        }


def queues(hub: Hub, *, limit: int = MOST_QUEUES) -> list[QueueState]:
    """Every queue that holds jobs or has a worker of its own, by name; counts the jobs table."""
    return [QueueState(**row) for row in hub.read("list_queues", limit=limit)]


def workers(hub: Hub, *, stopped: bool = False, limit: int = 200) -> list[WorkerState]:
    """Workers that are live or lost, the newest first; with `stopped` also those of the past."""
    return [WorkerState(**row) for row in hub.read("list_workers", stopped=stopped, limit=limit)]


def jobs(
    hub: Hub,
    wanted: JobFilter | None = None,
    *,
    limit: int = 50,
    before_id: int | None = None,
) -> list[JobLine]:
    """Jobs that match, newest first, waiting ones and succeeded ones in one list.

    The next page begins before the last id of this one.
    """
    asked = (wanted or JobFilter()).parameters()
    return [JobLine(**r) for r in hub.read("list_jobs", **asked, limit=limit, before_id=before_id)]


def job(hub: Hub, job_id: int) -> JobDetail:
    """One job with its history.

    Raises:
        UnknownJob: there is none of this id, or its transaction has not committed.
    """
    row = hub.read_one("read_job", job_id=job_id)
    if row is None:
        raise UnknownJob(f"no job {job_id}; its transaction may not have committed yet")
    history = [Attempt(**attempt) for attempt in hub.read("read_attempts", job_id=job_id)]
    return JobDetail(**row, history=history)


def counts(hub: Hub, *, since: timedelta = timedelta(hours=1)) -> Counts:
    """How many jobs stand where, and how many runs ended within `since`."""
    [row] = hub.read("count_jobs", since_seconds=since.total_seconds())
    return Counts(**row)


def unserved(hub: Hub, *, limit: int = MOST_TASKS) -> list[TaskCount]:
    """Waiting jobs whose queue is served by workers of which none knows their task."""
    return [TaskCount(**row) for row in hub.read("unserved_tasks", limit=limit)]


def foreign(
    hub: Hub, queues: Sequence[str] | None = None, *, limit: int = MOST_TASKS
) -> list[TaskCount]:
    """Waiting jobs in these queues (None: in all) whose task this hub does not have."""
    asked = None if queues is None else list(queues)
    rows = hub.read("foreign_tasks", queues=asked, tasks=list(hub.tasks), limit=limit)
    return [TaskCount(**row) for row in rows]


def like(glob: str) -> str:
    """A glob of `*` and `?` as LIKE takes it."""
    escaped = re.sub(r"([\\%_])", r"\\\1", glob)
    return escaped.replace("*", "%").replace("?", "_")


def _anywhere(glob: str) -> str:
    return like(glob) if set(glob) & set("*?") else f"%{like(glob)}%"
