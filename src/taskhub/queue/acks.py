"""Storing what became of the jobs that a worker ran; every statement is fenced by the claim."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg import errors

from taskhub.queue import sql
from taskhub.queue.attempts import Failure
from taskhub.queue.retries import Again

logger = logging.getLogger("taskhub.worker")


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A job as its claim returned it; `args` is the text of a JSON value."""

    id: int
    queue_name: str
    task_name: str
    priority: int
    lock: str | None
    queueing_lock: str | None
    args: str
    attempts: int
    claim: int
    lost: int
    scheduled_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Succeeded:
    """The job is done; `result` is JSON text."""

    job: Claimed
    result: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The job has ended for good, as `failed` or `aborted`."""

    job: Claimed
    failure: Failure
    status: str = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """The job waits again; `outcome` is retried, snoozed or interrupted."""

    job: Claimed
    outcome: str
    again: Again
    failure: Failure | None = None


Ack = Succeeded | Failed | Returned


class AckStore:
    """Stores outcomes for one worker id, on the worker's own autocommit connection."""

    def __init__(self, schema: str, worker_id: int) -> None:
        self._schema = schema
        self._worker_id = worker_id

    async def store(
        self, connection: psycopg.AsyncConnection[Any], acks: Sequence[Ack]
    ) -> set[int]:
        """Ids of the jobs whose outcome was stored; for the others the claim was lost.

        Storing again what may have been stored before is safe: a claim is stored once.
        """
        done = [ack for ack in acks if isinstance(ack, Succeeded)]
        stored = await self._succeeded(connection, done) if done else set()
        for ack in acks:
            if isinstance(ack, Failed):
                stored |= await self._failed(connection, ack)
            elif isinstance(ack, Returned):
                stored |= await self._returned(connection, ack)
        for ack in acks:
            if ack.job.id not in stored:
                logger.warning(
                    "claim lost, outcome dropped",
                    extra={"job_id": ack.job.id, "claim": ack.job.claim},
                )
        return stored

    async def _succeeded(
        self, connection: psycopg.AsyncConnection[Any], done: Sequence[Succeeded]
    ) -> set[int]:
        return await self._run(
            connection,
            "finish_succeeded",
            {
                "job_ids": [ack.job.id for ack in done],
                "claims": [ack.job.claim for ack in done],
                "results": [ack.result for ack in done],
            },
        )

    async def _failed(self, connection: psycopg.AsyncConnection[Any], ack: Failed) -> set[int]:
        return await self._run(
            connection, "finish_failed", _told(ack.job, ack.failure) | {"status": ack.status}
        )

    async def _returned(self, connection: psycopg.AsyncConnection[Any], ack: Returned) -> set[int]:
        parameters = _told(ack.job, ack.failure) | {
            "outcome": ack.outcome,
            "used": int(ack.outcome == "retried"),
            "delay_seconds": ack.again.in_seconds,
            "at": ack.again.at,
            "priority": ack.again.priority,
            "queue_name": ack.again.queue,
            "lock": ack.again.lock,
        }
        try:
            return await self._run(
                connection, "return_job", parameters | {"keep_queueing_lock": True}
            )
        except errors.UniqueViolation:
            # A job with its queueing lock came to wait meanwhile; this one was there first and
            # must not be stuck, so it goes on without.
            return await self._run(
                connection, "return_job", parameters | {"keep_queueing_lock": False}
            )

    async def _run(
        self, connection: psycopg.AsyncConnection[Any], statement: str, parameters: dict[str, Any]
    ) -> set[int]:
        query = sql.load(statement, self._schema)
        given = parameters | {"worker_id": self._worker_id}
        try:
            cursor = await connection.execute(query, given)
        except errors.CheckViolation:
            # The history's newest partition is full; worker start makes them ahead, but a burst
            # of a million jobs can be faster.
            await extend_history(connection, self._schema)
            cursor = await connection.execute(query, given)
        return {row[0] for row in await cursor.fetchall()}


async def extend_history(connection: psycopg.AsyncConnection[Any], schema: str) -> None:
    """Make the partitions of the history for the ids that come next."""
    await connection.execute(sql.load("extend_history", schema))


def _told(job: Claimed, failure: Failure | None) -> dict[str, Any]:
    return {
        "job_id": job.id,
        "claim": job.claim,
        "error_class": failure.error_class if failure else None,
        "error_message": failure.error_message if failure else None,
        "traceback": failure.traceback if failure else None,
        "fingerprint": failure.fingerprint if failure else None,
    }
