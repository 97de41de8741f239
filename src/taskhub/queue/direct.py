"""A worker's own connection, which prepares its statements where no pooler is between."""

from typing import Any

import psycopg


async def connect(conninfo: str) -> psycopg.AsyncConnection[Any]:
    """A connection in autocommit, with statements prepared if it is direct.

    Raises:
        OperationalError: the database cannot be reached.
    """
    connection = await psycopg.AsyncConnection.connect(
        conninfo, autocommit=True, prepare_threshold=None, connect_timeout=10
    )
    # Through a pooler it may get what another session listens to; psycopg would keep it for ever.
    connection.add_notify_handler(lambda _: None)
    try:
        if await _is_direct(connection):
            connection.prepare_threshold = 0
    except BaseException:
        await connection.close()
        raise
    return connection


async def _is_direct(connection: psycopg.AsyncConnection[Any]) -> bool:
    """Whether no pooler is between, so that what is prepared here is there at the next statement.

    A pooler tells its clients a process id of its own making.
    """
    cursor = await connection.execute("SELECT pg_backend_pid()")
    row = await cursor.fetchone()
    return row is not None and row[0] == connection.info.backend_pid
