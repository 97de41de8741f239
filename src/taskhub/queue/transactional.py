"""Transactional tasks: the job ends in the same commit as what its task wrote, so that happens once."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any, NoReturn

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from taskhub.queue import joblogs, sql
from taskhub.queue.acks import extra
from taskhub.queue.context import ClaimLost, Context, check_claim

if TYPE_CHECKING:
    from taskhub.queue.hub import Hub
    from taskhub.queue.task import Task

logger = logging.getLogger("taskhub.worker")


class TaskSession(Session):
    """The session of a transactional task: the worker ends its transaction, nobody else."""

    def commit(self) -> NoReturn:
        """Refuse: what comes after would not belong to the job's end any more."""
        raise RuntimeError(
            "a transactional task must not commit: the worker does, with the job's end"
        )

    def rollback(self) -> NoReturn:
        """Refuse: raise an exception to take everything back, or use begin_nested()."""
        raise RuntimeError(
            "a transactional task must not roll back: raise, or wrap a part in session.begin_nested()"
        )


def run(task: Task[..., Any], stored: str, context: Context) -> None:
    """Run a function in a transaction whose commit ends its job; in one of the worker's threads.

    Raises:
        ClaimLost: another worker has the job; everything is rolled back.
    """
    hub = context.hub
    is_committing = False
    try:
        with TaskSession(hub.engine) as session, session.begin(), hub.opened(session):
            check_claim(session.connection(), context)
            answer = task.call(stored, context, session)
            if context.has_reported:
                hub.reporter.settle()  # when the job has ended, no report of it counts
            _end(session, task, context, answer)
            is_committing = True
    except DBAPIError as error:
        is_unknown = is_committing and error.connection_invalidated
        if not is_unknown or not _has_committed(hub, context):
            raise


async def run_async(task: Task[..., Any], stored: str, context: Context) -> None:
    """As `run`, for a coroutine function, on the worker's loop.

    A cancel that comes while it commits counts if it came in time.
    """
    hub = context.hub
    is_committing = False
    try:
        async with (
            AsyncSession(hub.async_engine, sync_session_class=TaskSession) as session,
            session.begin(),
        ):
            with hub.opened(session.sync_session):
                await session.run_sync(lambda sync: check_claim(sync.connection(), context))
                answer = await task.call(stored, context, session)
                if context.has_reported:
                    await asyncio.to_thread(hub.reporter.settle)
                await session.run_sync(_end, task, context, answer)
                is_committing = True
    except (DBAPIError, asyncio.CancelledError) as error:
        is_unknown = is_committing and getattr(error, "connection_invalidated", True)
        if not is_unknown or not await asyncio.to_thread(_has_committed, hub, context):
            raise


def _end(session: Session, task: Task[..., Any], context: Context, answer: Any) -> None:
    """Write the job's end, fenced, as the transaction's last statement."""
    from taskhub.queue.executors import result_text

    if context.cancelled:
        raise RuntimeError("the job was asked to stop: what it wrote is rolled back")
    session.flush()
    settings = context.hub.settings
    result = None if answer is None else result_text(task, answer)
    told = extra(result, joblogs.take(context))
    row = (
        session.connection()
        .exec_driver_sql(
            sql.load("ack_in_transaction", settings.schema),
            {
                "job_id": context.job_id,
                "claim": context.claim,
                "worker_id": context.worker_id,
                "extras": f"[{told}]",
                "idle_milliseconds": str(int(settings.lease_seconds * 500)),
            },
        )
        .one()
    )
    if not row.stored:
        raise ClaimLost(
            f"job {context.job_id} was given to another worker while this one was away; "
            "its writes are rolled back"
        )


def _has_committed(hub: Hub, context: Context) -> bool:
    """What became of a commit whose answer was lost with its connection; asks until it knows.

    While the database is away nobody else can take the job, and when the lease is over the fence
    refuses whatever is told of it: so it is asked for as long as a lease.
    """
    deadline = time.monotonic() + hub.settings.lease_seconds
    while True:
        try:
            with hub.engine.begin() as connection:
                return _is_stored(connection, context)
        except DBAPIError:
            if time.monotonic() >= deadline:
                raise
            logger.warning("asking what became of a commit", extra={"job_id": context.job_id})
            time.sleep(0.1)


def _is_stored(connection: Connection, context: Context) -> bool:
    schema = context.hub.settings.schema
    known = {"job_id": context.job_id, "claim": context.claim, "worker_id": context.worker_id}
    if connection.exec_driver_sql(sql.load("lock_claim", schema), known).scalar():
        return False
    many = {
        "job_ids": [context.job_id],
        "claims": [context.claim],
        "worker_id": context.worker_id,
    }
    return connection.exec_driver_sql(sql.load("stored_claims", schema), many).scalar() is not None
