"""How a question reaches the database: read-only, on a connection of its own, and never for long."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from psycopg import errors
from sqlalchemy import Connection, RowMapping
from sqlalchemy.exc import DBAPIError

from taskhub.queue import sql

if TYPE_CHECKING:
    from taskhub.queue.hub import Hub

_OFF = ("enable_seqscan", "enable_bitmapscan", "enable_sort", "jit")


class TookTooLong(RuntimeError):
    """The database did not answer within `question_seconds`."""


@contextmanager
def moment(hub: Hub) -> Iterator[Connection]:
    """Statements that see the same moment: a job that ends in between is not met twice.

    Raises:
        TookTooLong: one of them took longer than the setting question_seconds.
    """
    with hub.engine.connect() as connection:
        connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        seconds = hub.settings.question_seconds
        try:
            # SET LOCAL: through a pooler a plain SET would hit somebody else's connection.
            connection.exec_driver_sql(
                "SELECT set_config('statement_timeout', %s, true)", (f"{seconds:.3f}s",)
            )
            yield connection
        except DBAPIError as error:
            if isinstance(error.orig, errors.QueryCanceled):
                raise TookTooLong(
                    f"the database did not answer within {seconds:g} s; ask for less, or see "
                    "question_seconds"
                ) from error
            raise


def read(
    hub: Hub, connection: Connection, statement: str, **parameters: Any
) -> Sequence[RowMapping]:
    """The rows of one of the queue's statements, in the moment of `connection`."""
    query = sql.load(statement, hub.settings.schema)
    return connection.exec_driver_sql(query, parameters).mappings().all()


def rows(hub: Hub, statement: str, **parameters: Any) -> Sequence[RowMapping]:
    """The rows of one statement in a moment of its own.

    Raises:
        TookTooLong: as `moment`.
    """
    with moment(hub) as connection:
        return read(hub, connection, statement, **parameters)


@contextmanager
def by_index(connection: Connection) -> Iterator[None]:
    """Statements that walk an index in its order and leave it at LIMIT.

    Else the planner was seen to read and sort a million rows for the first ten thousand of them.
    """
    for switch in _OFF:
        connection.exec_driver_sql(f"SET LOCAL {switch} = off")
    yield
    for switch in _OFF:
        connection.exec_driver_sql(f"SET LOCAL {switch} = DEFAULT")
