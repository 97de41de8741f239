"""Many jobs at once by COPY, on a psycopg connection and in the transaction that it has."""

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg.pq import PipelineStatus

from taskhub.queue import sql
from taskhub.queue.rows import NewJob, copy_blocks

# When they are due and when they expire, where the jobs do not say it themselves.
Times = tuple[str | None, str | None]
# Below this many one INSERT is as fast: COPY takes a round trip more, for the ids.
FEWEST_JOBS = 200


def fits(connection: Any, jobs: Sequence[NewJob]) -> bool:
    """Whether COPY can store these jobs on this connection, and pays."""
    return (
        len(jobs) >= FEWEST_JOBS
        and isinstance(connection, psycopg.Connection | psycopg.AsyncConnection)
        and connection.pgconn.pipeline_status == PipelineStatus.OFF  # a pipeline knows no COPY
        and all(job.queueing_lock is None and job.unique_key is None for job in jobs)
        and len({(j.common.delay_seconds, j.common.expires_seconds) for j in jobs}) == 1
    )


def reservation(jobs: Sequence[NewJob]) -> dict[str, Any]:
    """The parameters of reserve_jobs, whose row says under which ids to store the jobs, and the times."""
    first = jobs[0].common
    return {
        "jobs": len(jobs),
        "delay_seconds": first.delay_seconds,
        "expires_seconds": first.expires_seconds,
    }


def store(
    connection: psycopg.Connection[Any],
    schema: str,
    jobs: Sequence[NewJob],
    ids: Sequence[int],
    times: Times,
) -> None:
    """Store the jobs; a row that is refused fails the transaction, as in an INSERT."""
    # A cursor of our own: the connection's may be of any class and give rows of any kind.
    with psycopg.Cursor(connection) as cursor, cursor.copy(sql.load("copy_jobs", schema)) as copy:
        for block in copy_blocks(jobs, ids, *times):
            copy.write(block)


async def store_async(
    connection: psycopg.AsyncConnection[Any],
    schema: str,
    jobs: Sequence[NewJob],
    ids: Sequence[int],
    times: Times,
) -> None:
    """As `store`."""
    statement = sql.load("copy_jobs", schema)
    async with psycopg.AsyncCursor(connection) as cursor, cursor.copy(statement) as copy:
        for block in copy_blocks(jobs, ids, *times):
            await copy.write(block)
