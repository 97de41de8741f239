"""Outcomes that wait to be stored: none is lost while the lease lasts, and none holds up the others."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import psycopg
from psycopg import errors

from taskhub.queue import acks, sql
from taskhub.queue.acks import Ack, Failed, Returned, Succeeded
from taskhub.queue.attempts import Failure
from taskhub.queue.runs import Run
from taskhub.queue.tick import Ticker
from taskhub.queue.upkeep import extend_history

logger = logging.getLogger("taskhub.worker")
MOST_A_TICK = 1000

Ended = tuple[Run | None, Ack]


class Pending:
    """What ended and is not stored yet, for one worker id.

    `awake_seconds` tells how long the process has been back from a pause; None: it had none.
    Storing again what may have been stored before is safe: a claim is stored once.
    """

    def __init__(
        self, schema: str, worker_id: int, awake_seconds: Callable[[], float | None]
    ) -> None:
        self._schema = schema
        self._worker_id = worker_id
        self._awake_seconds = awake_seconds
        self._ended: list[Ended] = []

    def __len__(self) -> int:
        return len(self._ended)

    def add(self, ended: Iterable[Ended]) -> None:
        """Take in what is to be stored; no run where nobody here ran it."""
        self._ended += ended

    def job_ids(self) -> set[int]:
        """The jobs whose outcome is not stored yet."""
        return {ack.job.id for _, ack in self._ended}

    def batch(self) -> list[Ended]:
        """The oldest ones, as many as go with one tick; they stay until `settle` is called."""
        return self._ended[:MOST_A_TICK]

    async def settle(
        self,
        connection: psycopg.AsyncConnection[Any],
        batch: Sequence[Ended],
        stored: frozenset[int] | None,
    ) -> list[Ended]:
        """Let go of a batch that a tick has dealt with; those whose outcome is really stored.

        `stored` is None for all of them. The rest was stored by an earlier try whose answer was
        lost with its connection, or its claim is lost and another worker has the job.
        """
        kept = list(batch)
        if stored is not None:
            refused = [ack for _, ack in batch if ack.job.id not in stored]
            known = stored | await self._stored_before(connection, refused) if refused else stored
            kept = [(run, ack) for run, ack in batch if ack.job.id in known]
            if lost := [ack for ack in refused if ack.job.id not in known]:
                await self._drop(connection, lost)
        # Only now: had the connection broken, they would be stored again on the next one.
        del self._ended[: len(batch)]
        return kept

    async def _drop(self, connection: psycopg.AsyncConnection[Any], lost: Sequence[Ack]) -> None:
        """Tell of outcomes that were refused, and keep how long both runs of a job went on."""
        told = {"job_ids": [a.job.id for a in lost], "claims": [a.job.claim for a in lost]}
        cursor = await connection.execute(
            sql.load("note_overlaps", self._schema),
            {**told, "worker_id": self._worker_id, "awake_seconds": self._awake_seconds()},
        )
        seconds = dict(await cursor.fetchall())
        for ack in lost:
            logger.warning(
                "claim lost, outcome dropped",
                extra={
                    "job_id": ack.job.id,
                    "claim": ack.job.claim,
                    "overlap_seconds": seconds.get(ack.job.id),
                },
            )

    async def store_alone(self, connection: psycopg.AsyncConnection[Any]) -> list[Ended]:
        """Store those that might wait for somebody's transaction, each by itself."""
        kept: list[Ended] = []
        for ended in [e for e in self._ended if e[1].may_wait]:
            if await self._store_alone(connection, ended[1]):
                kept.append(ended)
            self._ended.remove(ended)
        return kept

    async def store_one_by_one(
        self, connection: psycopg.AsyncConnection[Any], ticker: Ticker, batch: Sequence[Ended]
    ) -> list[Ended]:
        """After a tick that the server refused: find the one it did not like, and store the others.

        An outcome that cannot be stored is stored without its result, log and texts.
        """
        kept: list[Ended] = []
        for ended in batch:
            for ack in (ended[1], _bare(ended[1])):
                try:
                    answer = await ticker.tick(connection, [ack], 0)
                except psycopg.Error as error:
                    if connection.closed:
                        raise
                    logger.warning(
                        "outcome refused by the database",
                        extra={"job_id": ack.job.id, "error": str(error)},
                    )
                else:
                    if answer.stored is None:
                        kept.append(ended)
                    break
            self._ended.remove(ended)
        return kept

    async def _store_alone(self, connection: psycopg.AsyncConnection[Any], ack: Ack) -> bool:
        query = sql.load("outcome_alone", self._schema)
        for given in (ack, _without_queueing_lock(ack)):
            told = acks.parameters([given]) | {"worker_id": self._worker_id}
            try:
                cursor = await _with_history(connection, self._schema, query, told, ack.job.id)
            except (errors.UniqueViolation, errors.LockNotAvailable):
                # Another job with this queueing lock came to wait. This one was there first and must
                # not be stuck: it goes on without.
                continue
            row = await cursor.fetchone()
            return bool(row and row[0])
        return False

    async def _stored_before(
        self, connection: psycopg.AsyncConnection[Any], refused: Sequence[Ack]
    ) -> set[int]:
        cursor = await connection.execute(
            sql.load("stored_claims", self._schema),
            {
                "job_ids": [ack.job.id for ack in refused],
                "claims": [ack.job.claim for ack in refused],
                "worker_id": self._worker_id,
            },
        )
        return {row[0] for row in await cursor.fetchall()}


async def _with_history(
    connection: psycopg.AsyncConnection[Any],
    schema: str,
    query: str,
    parameters: dict[str, Any],
    job_id: int,
) -> psycopg.AsyncCursor[Any]:
    try:
        return await connection.execute(query, parameters)
    except errors.CheckViolation:
        # The newest partition is full. They are made ahead, but a burst can be faster.
        await extend_history(connection, schema, [job_id])
        return await connection.execute(query, parameters)


def _without_queueing_lock(ack: Ack) -> Ack:
    return replace(ack, keeps_queueing_lock=False) if isinstance(ack, Returned) else ack


def _bare(ack: Ack) -> Ack:
    if isinstance(ack, Succeeded):
        return Succeeded(ack.job)
    if isinstance(ack, Failed):
        return Failed(job=ack.job, failure=_told(ack.failure), status=ack.status)
    failure = _told(ack.failure) if ack.failure is not None else None
    return replace(ack, failure=failure, log=None)


def _told(failure: Failure) -> Failure:
    return replace(failure, error_message="the database refused to store the message", traceback="")
