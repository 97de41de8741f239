"""Taking jobs, and looking after what others left: the statements of a worker that are not acks."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.rows import class_row, dict_row

from taskhub.queue import sql
from taskhub.queue.acks import Claimed
from taskhub.queue.events import JobEvent

if TYPE_CHECKING:
    from taskhub.queue.hub import Hub

logger = logging.getLogger("taskhub.worker")


class Claims:
    """Claims for one worker id; a new id, after a lost lease, means a new object."""

    def __init__(self, schema: str, worker_id: int, queues: Sequence[str] | None) -> None:
        self._schema = schema
        self._worker_id = worker_id
        self._queues = list(queues) if queues is not None else None

    async def take(self, connection: psycopg.AsyncConnection[Any], slots: int) -> list[Claimed]:
        """Up to `slots` ready jobs, now ours; by priority, then in the order they were deferred."""
        async with connection.cursor(row_factory=class_row(Claimed)) as cursor:
            await cursor.execute(
                sql.load("claim_jobs", self._schema),
                {"queues": self._queues, "worker_id": self._worker_id, "slots": slots},
            )
            return await cursor.fetchall()

    async def cancelled(self, connection: psycopg.AsyncConnection[Any]) -> list[int]:
        """Ids of our running jobs that somebody asked to stop."""
        cursor = await connection.execute(
            sql.load("cancelled_jobs", self._schema), {"worker_id": self._worker_id}
        )
        return [row[0] for row in await cursor.fetchall()]

    async def rescue(self, connection: psycopg.AsyncConnection[Any], hub: Hub) -> None:
        """Give back the jobs of dead workers, and take those workers off the living."""
        async with connection.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(
                sql.load("rescue_jobs", self._schema), {"lease_seconds": hub.settings.lease_seconds}
            )
            rescued = await cursor.fetchall()
            await cursor.execute(sql.load("bury_workers", self._schema), {})
        for row in rescued:
            logger.warning(
                "job rescued from a dead worker",
                extra={"job_id": row["id"], "lost": row["lost"], "status": row["status"]},
            )
            await hub.hooks.tell_async(
                JobEvent(
                    name="job.rescued",
                    job_id=row["id"],
                    task_name=row["task_name"],
                    queue=row["queue_name"],
                    attempt=row["attempts"] + 1,
                )
            )
