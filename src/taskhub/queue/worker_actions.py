"""What an operator does to workers: have them drain, and give back the jobs of the dead.

Every function works on connections of its own, in no transaction of the caller's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import Connection

from taskhub.queue import insight, sql
from taskhub.queue.events import JobEvent
from taskhub.queue.states import WorkerState
from taskhub.queue.upkeep import SILENT
from taskhub.queue.why.words import span

if TYPE_CHECKING:
    from taskhub.queue.hub import Hub

ALIVE = ("live", "draining", "drained")
DECLARED_DEAD = "an operator declared the worker dead"
_OUTCOMES: dict[str, Literal["waits again", "failed", "aborted"]] = {
    "todo": "waits again",
    "failed": "failed",
    "aborted": "aborted",
}


class UnknownWorker(LookupError):
    """No worker ever had this id, or its line in the registry was pruned."""


class WorkerLives(RuntimeError):
    """The worker renewed its lease lately, so its jobs were left with it."""


@dataclass(frozen=True, slots=True)
class Rescued:
    """A job of a dead worker and what became of it; `lost` counts the workers it was lost with.

    Attributes:
        outcome: "waits again"; "failed" where it was lost too often; "aborted" where somebody had
            asked it to stop.
    """

    job_id: int
    task: str
    queue: str
    worker_id: int | None
    lost: int
    outcome: Literal["waits again", "failed", "aborted"]


def named(hub: Hub, worker_ids: Iterable[int]) -> list[WorkerState]:
    """The workers of these ids, by id, whether they live or not.

    Raises:
        UnknownWorker: one of them never was.
    """
    ids = sorted(set(worker_ids))
    found = {worker.id: worker for worker in insight.workers(hub, ids=ids, limit=len(ids))}
    for worker_id in ids:
        if worker_id not in found:
            raise UnknownWorker(f"no worker {worker_id}; see `taskhub workers --stopped`")
    return [found[worker_id] for worker_id in ids]


def drain(hub: Hub, worker_ids: Iterable[int], *, stay: bool = False) -> list[int]:
    """Ask live workers to take no more jobs; the ids of those that were asked.

    Each hears it with its next heartbeat, within a quarter of its lease, lets its jobs end, however
    long they take, and then ends with exit code 0; with `stay` it stays, idle, until it is stopped.
    """
    how = "stay" if stay else "end"
    rows = hub.write("drain_workers", worker_ids=list(worker_ids), how=how)
    return sorted(row["id"] for row in rows)


def rescue(
    hub: Hub,
    worker_ids: Sequence[int] | None = None,
    *,
    force: bool = False,
    dry_run: bool = False,
) -> list[Rescued]:
    """Give back the jobs of workers whose lease is over (None: of all such), as workers do by themselves.

    With `force` also those of the named workers that live by their heartbeat, which lose their lease.
    A dry run does the same and rolls back. One transaction; rows that others hold are passed over.

    Raises:
        UnknownWorker: one of them never was.
        WorkerLives: one of them lives, and `force` was not given; nothing was changed.
    """
    workers = named(hub, worker_ids) if worker_ids is not None else []
    if not force:
        _refuse_living(hub, workers)
    with hub.engine.connect() as connection, connection.begin() as transaction:
        rows = _give_back(hub, connection, worker_ids, force=force)
        if dry_run:
            transaction.rollback()
    if not dry_run:
        _tell(hub, rows)
    rescued = [
        Rescued(
            row["id"], row["task_name"], row["queue_name"], row["worker_id"], row["lost"],
            _OUTCOMES[row["status"]],
        )
        for row in rows
    ]  # fmt: skip
    return sorted(rescued, key=lambda one: one.job_id)


def _tell(hub: Hub, rows: Sequence[Any]) -> None:
    for row in rows:
        hub.hooks.tell(
            JobEvent(
                name="job.rescued",
                job_id=row["id"],
                task_name=row["task_name"],
                queue=row["queue_name"],
                attempt=row["attempts"] + 1,
            )
        )


def _refuse_living(hub: Hub, workers: Sequence[WorkerState]) -> None:
    [clock] = hub.read("read_clock")
    for worker in workers:
        if worker.state in ALIVE and worker.heartbeat_at is not None:
            ago = span((clock["now"] - worker.heartbeat_at).total_seconds())
            raise WorkerLives(
                f"worker {worker.id} renewed its lease {ago} ago, so it seems to live; its jobs come back by "
                "themselves when its lease is over; --force gives them back now: what it still does then "
                "happens twice, since only commits through the hub are fenced, not mails or calls"
            )


def _give_back(
    hub: Hub, connection: Connection, worker_ids: Sequence[int] | None, *, force: bool
) -> Sequence[Any]:
    def run(statement: str, **parameters: Any) -> Any:
        query = sql.load(statement, hub.settings.schema)
        return connection.exec_driver_sql(query, parameters)

    run("bound_transaction")
    if force:
        for worker_id in worker_ids or ():
            run("unregister_worker", worker_id=worker_id, reason=f"lost: {DECLARED_DEAD}")
    rows = run(
        "rescue_jobs",
        worker_ids=list(worker_ids) if worker_ids is not None else None,
        # Nobody is taken for dead by its heartbeat soon after the server's start; who is named is known.
        lease_seconds=0.0 if force else hub.settings.lease_seconds,
        what=DECLARED_DEAD if force else SILENT,
    ).mappings()
    rescued = list(rows)
    run("bury_workers")
    return rescued
