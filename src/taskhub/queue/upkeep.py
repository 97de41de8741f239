"""What a worker looks after at intervals: requests to stop, dead workers, jobs it does not know it has."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.rows import dict_row

from taskhub.queue import horizon, minutes, retention, sql
from taskhub.queue.acks import Ack, Claimed, not_run
from taskhub.queue.events import JobEvent
from taskhub.queue.runs import Run

if TYPE_CHECKING:
    from taskhub.queue.hub import Hub

logger = logging.getLogger("taskhub.worker")
CANCEL_SECONDS = 1.0
SILENT = "the worker stopped renewing its lease"
EXPIRE_SECONDS = 10.0


class Upkeep:
    """The chores of one worker id, each when it is due, on the worker's own connection.

    Args:
        wait_seconds: declare nobody dead for so long. After an outage, a failover for one, every
            worker of the fleet is late with its heartbeat, and none of them is dead.
    """

    def __init__(self, hub: Hub, worker_id: int, *, wait_seconds: float = 0.0) -> None:
        self._hub = hub
        self._schema = hub.settings.schema
        self._worker_id = worker_id
        self._lease_seconds = hub.settings.lease_seconds
        now = time.monotonic()
        self._next_cancels = now
        self._next_expiry = now
        self._next_round = now
        self._next_slow_round = now
        self._next_rescue = now + wait_seconds
        self._swept_lock: str | None = None
        self._swept_limit: str | None = None
        self._swept_turn: tuple[str, int, str] | None = None
        self._chores: asyncio.Task[None] | None = None

    @property
    def due_in_seconds(self) -> float:
        """How long nothing is due."""
        return max(0.0, self._next_round - time.monotonic())

    @property
    def cancels_due_in_seconds(self) -> float:
        """When requests to stop running jobs are looked for next."""
        return max(0.0, self._next_cancels - time.monotonic())

    async def look(
        self,
        connection: psycopg.AsyncConnection[Any],
        runs: Mapping[int, Run],
        unstored: Callable[[], Collection[int]],
    ) -> list[Ack]:
        """Do what is due; outcomes for jobs that are ours in the table and that nobody here runs.

        `unstored` gives the ids of jobs whose outcome waits to be stored.
        """
        now = time.monotonic()
        if runs and now >= self._next_cancels:
            self._next_cancels = now + CANCEL_SECONDS
            await self._cancel(connection, runs)
        if now >= self._next_expiry:
            await self._expire(connection)
        if now < self._next_round:
            return []
        self._next_round = now + self._lease_seconds / 3
        if now >= self._next_rescue:
            await self._rescue(connection)
        await self._tell_unknown(connection)
        if now >= self._next_slow_round:
            self._next_slow_round = now + self._lease_seconds
            await extend_history(connection, self._schema)
            await self._sweep_locks(connection)
            await self._sweep_turns(connection)
            self._start_chores()
        return await self._unknown(connection, runs, unstored)

    def _start_chores(self) -> None:
        """What one worker of the fleet does now and then, beside the jobs, on connections of its own."""
        if self._chores is None or self._chores.done():
            self._chores = asyncio.get_running_loop().create_task(
                asyncio.to_thread(_do_chores, self._hub)
            )

    async def end(self) -> None:
        """Wait for what runs beside the jobs; a chore is bounded, and must not be cut in the middle."""
        if self._chores is not None:
            await self._chores

    async def _cancel(
        self, connection: psycopg.AsyncConnection[Any], runs: Mapping[int, Run]
    ) -> None:
        async with connection.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(sql.load("read_cancels", self._schema), {"job_ids": list(runs)})
            for row in await cursor.fetchall():
                run = runs.get(row["job_id"])
                if run is not None and run.job.claim == row["claim"]:
                    run.cancel(row["reason"])

    async def _expire(self, connection: psycopg.AsyncConnection[Any]) -> None:
        """End jobs that did not start by their time, a bounded number."""
        async with connection.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(sql.load("expire_jobs", self._schema))
            ended = await cursor.fetchall()
        # More are left, perhaps: the next turn looks again.
        self._next_expiry = time.monotonic() + (0.0 if ended else EXPIRE_SECONDS)
        for row in ended:
            self._hub.hooks.emit(
                JobEvent("job.cancelled", row["id"], row["task_name"], row["queue_name"])
            )

    async def _tell_unknown(self, connection: psycopg.AsyncConnection[Any]) -> None:
        """Say which waiting jobs no live worker can run; once a task and grace time in the fleet."""
        async with connection.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(
                sql.load("tell_unknown", self._schema),
                {"grace_seconds": self._hub.settings.unknown_task_grace_seconds},
            )
            untold = await cursor.fetchall()
        for row in untold:
            logger.error(
                "no live worker knows the task of waiting jobs",
                extra={
                    "task": row["task_name"],
                    "version": row["version"],
                    "waiting": row["jobs"],
                    "since": row["since"].isoformat(),
                },
            )
            self._hub.hooks.emit(
                JobEvent("task.unknown", row["job_id"], row["task_name"], row["queue_name"])
            )

    async def _rescue(self, connection: psycopg.AsyncConnection[Any]) -> None:
        """Give back the jobs of dead workers, and take those workers off the living."""
        async with connection.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(
                sql.load("rescue_jobs", self._schema),
                {"lease_seconds": self._lease_seconds, "worker_ids": None, "what": SILENT},
            )
            rescued = await cursor.fetchall()
            await cursor.execute(sql.load("bury_workers", self._schema), {})
        for row in rescued:
            logger.warning(
                "job rescued from a dead worker",
                extra={"job_id": row["id"], "lost": row["lost"], "status": row["status"]},
            )
            self._hub.hooks.emit(
                JobEvent(
                    name="job.rescued",
                    job_id=row["id"],
                    task_name=row["task_name"],
                    queue=row["queue_name"],
                    attempt=row["attempts"] + 1,
                )
            )

    async def _sweep_locks(self, connection: psycopg.AsyncConnection[Any]) -> None:
        cursor = await connection.execute(
            sql.load("sweep_locks", self._schema),
            {"after": self._swept_lock or "", "after_limit": self._swept_limit or ""},
        )
        row = await cursor.fetchone()
        self._swept_lock, self._swept_limit = row if row is not None else (None, None)

    async def _sweep_turns(self, connection: psycopg.AsyncConnection[Any]) -> None:
        queue, lane, key = self._swept_turn or ("", -(2**31), "")
        cursor = await connection.execute(
            sql.load("sweep_turns", self._schema), {"queue": queue, "lane": lane, "key": key}
        )
        row = await cursor.fetchone()
        self._swept_turn = None if row is None or row[0] is None else (row[0], row[1], row[2])

    async def _unknown(
        self,
        connection: psycopg.AsyncConnection[Any],
        runs: Mapping[int, Run],
        unstored: Callable[[], Collection[int]],
    ) -> list[Ack]:
        """Jobs that were claimed on a connection which broke before it could say so."""
        cursor = await connection.execute(
            sql.load("held_jobs", self._schema), {"worker_id": self._worker_id}
        )
        held = map(Claimed._make, await cursor.fetchall())
        # Asked only now: jobs end while the statements of this round are on their way.
        ended = unstored()
        unknown = [job for job in held if job.id not in runs and job.id not in ended]
        for job in unknown:
            logger.warning("job was claimed and never came here", extra={"job_id": job.id})
        return [not_run(job) for job in unknown]


def _do_chores(hub: Hub) -> None:
    for chore in (horizon.warn_if_due, minutes.add_up_if_due, retention.prune_if_due):
        try:
            chore(hub)
        except Exception:  # a chore that fails is tried again at its next turn
            logger.exception("chore failed", extra={"chore": chore.__name__})


async def extend_history(
    connection: psycopg.AsyncConnection[Any], schema: str, job_ids: Collection[int] = ()
) -> None:
    """Make the partitions of the history for the ids that come next, and for these."""
    await connection.execute(sql.load("extend_history", schema), {"job_ids": list(job_ids)})
