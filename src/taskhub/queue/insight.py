"""What the queue holds, as the command line and every screen see it: asked of SQL, never of workers.

Every function reads on a connection of its own, gives a bounded list and reads no more for it than a
bounded part of the history.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, RowMapping

from taskhub.queue import sql
from taskhub.queue.fairness import MOST_KEYS, FairKey
from taskhub.queue.filters import JobFilter
from taskhub.queue.jobs import Attempt, UnknownJob
from taskhub.queue.progress import Progress
from taskhub.queue.states import (
    Counts,
    HeldKey,
    JobDetail,
    JobLine,
    Overlaps,
    Page,
    QueueState,
    TaskCount,
    WorkerState,
)
from taskhub.queue.why import Why, explain

if TYPE_CHECKING:
    from taskhub.queue.hub import Hub

MOST_QUEUES = 500
MOST_TASKS = 50
MOST_HELD = 20
MOST_RUNS = 100_000
# A page is looked for in the newest ids first, then in ever more of the older ones at once.
FIRST_IDS = 20_000
QUICK_SECONDS = 0.1


def overlaps(hub: Hub, *, seconds: float = 86_400.0) -> Overlaps:
    """What was noticed of overlapping runs within so many seconds."""
    [row] = hub.read("count_overlaps", seconds=seconds)
    return Overlaps(**row)


def queues(hub: Hub, *, limit: int = MOST_QUEUES) -> list[QueueState]:
    """Every queue that holds jobs or has a worker of its own, by name; counts the jobs table."""
    return [QueueState(**row) for row in hub.read("list_queues", limit=limit)]


def fair_keys(hub: Hub, queue: str, *, limit: int = MOST_KEYS) -> list[FairKey]:
    """The fair keys of a queue whose jobs wait for their turns, by name, with their weights."""
    return hub.fair_keys(queue, limit=limit)


def workers(
    hub: Hub, *, stopped: bool = False, ids: Sequence[int] | None = None, limit: int = 200
) -> list[WorkerState]:
    """Workers that are live or lost, the newest first; with `stopped` also those of the past.

    With `ids` just these, whether they live or not.
    """
    asked = list(ids) if ids is not None else None
    rows = hub.read("list_workers", stopped=stopped, ids=asked, limit=limit)
    return [WorkerState(**row) for row in rows]


def jobs(
    hub: Hub,
    wanted: JobFilter | None = None,
    *,
    limit: int = 50,
    before_id: int | None = None,
) -> list[JobLine]:
    """Jobs that match, newest first, waiting ones and succeeded ones in one list: a page's jobs."""
    return page(hub, wanted, limit=limit, before_id=before_id).jobs


def page(
    hub: Hub,
    wanted: JobFilter | None = None,
    *,
    limit: int = 50,
    before_id: int | None = None,
    seconds: float = 5.0,
) -> Page:
    """The next jobs that match, newest first, waiting ones and succeeded ones in one list.

    Stops looking after about `seconds`, however much history is left.
    """
    asked = (wanted or JobFilter()).parameters()
    [ids] = hub.read("read_id_range")
    if ids["highest_id"] is None:
        return Page([], None)
    end_id = min(before_id or ids["highest_id"] + 1, ids["highest_id"] + 1)
    found: list[JobLine] = []
    width, deadline = FIRST_IDS, time.monotonic() + seconds
    while len(found) < limit and end_id > ids["lowest_id"]:
        began = time.monotonic()
        if began >= deadline:
            break
        from_id, left = max(end_id - width, 0), limit - len(found)
        rows = hub.read("list_jobs", **asked, limit=left, from_id=from_id, before_id=end_id)
        found += [JobLine(**row) for row in rows]
        end_id = from_id if len(found) < limit else found[-1].id
        # A job never changes its id, so one that moves to the history meanwhile is met once.
        width = width * 4 if time.monotonic() - began < QUICK_SECONDS else max(width // 4, 1000)
    return Page(found, end_id if end_id > ids["lowest_id"] else None)


def job(hub: Hub, job_id: int) -> JobDetail:
    """One job with its history.

    Raises:
        UnknownJob: there is none of this id, or its transaction has not committed.
    """
    with _snapshot(hub) as connection:
        rows = _read(hub, connection, "read_job", job_id=job_id)
        history = _read(hub, connection, "read_attempts", job_id=job_id)
        progress = _read(hub, connection, "read_progress", job_id=job_id)
    if not rows:
        raise UnknownJob(f"no job {job_id}; its transaction may not have committed yet")
    return JobDetail(
        **rows[0],
        history=[Attempt(**attempt) for attempt in history],
        progress=Progress(**progress[0]) if progress else None,
    )


def why(hub: Hub, job_id: int) -> Why:
    """Why a job waits, runs or has ended, at this moment; never without a reason.

    Raises:
        UnknownJob: there is none of this id; the message says what may have become of it.
    """
    return explain(hub, job_id)


def counts(hub: Hub, *, since: timedelta = timedelta(hours=1)) -> Counts:
    """How many jobs stand where, and how many runs ended within `since`."""
    with _snapshot(hub) as connection:
        [jobs] = _read(hub, connection, "count_jobs")
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        [runs] = _read(
            hub, connection, "count_runs", since_seconds=since.total_seconds(), most=MOST_RUNS
        )
    return Counts(
        **jobs,
        succeeded_lately=runs["succeeded"],
        failed_runs_lately=runs["failed"],
        is_more_lately=runs["is_more"],
    )


def unserved(hub: Hub, *, limit: int = MOST_TASKS) -> list[TaskCount]:
    """Waiting jobs whose queue is served by workers of which none knows their task, or its version."""
    return [TaskCount(**row) for row in hub.read("unserved_tasks", limit=limit)]


def held_keys(hub: Hub, *, limit: int = MOST_HELD) -> list[HeldKey]:
    """Keys whose jobs wait because a breaker is open or tokens are missing, by name."""
    return [HeldKey(**row) for row in hub.read("held_keys", limit=limit)]


def foreign(
    hub: Hub, queues: Sequence[str] | None = None, *, limit: int = MOST_TASKS
) -> list[TaskCount]:
    """Waiting jobs in these queues (None: in all) whose task this hub does not have."""
    asked = None if queues is None else list(queues)
    rows = hub.read("foreign_tasks", queues=asked, tasks=list(hub.tasks), limit=limit)
    return [TaskCount(**row) for row in rows]


@contextmanager
def _snapshot(hub: Hub) -> Iterator[Connection]:
    """Several statements that see the same moment: a job that ends in between is not met twice."""
    with hub.engine.connect() as connection:
        connection.execution_options(isolation_level="REPEATABLE READ")
        yield connection


def _read(
    hub: Hub, connection: Connection, statement: str, **parameters: Any
) -> Sequence[RowMapping]:
    query = sql.load(statement, hub.settings.schema)
    return connection.exec_driver_sql(query, parameters).mappings().all()
