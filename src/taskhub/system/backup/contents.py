"""What stands in our schemas at one moment: rows and a checksum of each table, and what waits to run."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

Connection = psycopg.Connection[dict[str, Any]]
Told = Callable[[str, int, int], None]

_SHOWN = {
    "TimeZone": "UTC",
    "DateStyle": "ISO",
    "IntervalStyle": "postgres",
    "extra_float_digits": "1",
    "bytea_output": "hex",
}


@dataclass(frozen=True, slots=True)
class TableContents:
    """How many rows a table has, and a number that changes with any of them, whatever their order."""

    rows: int
    checksum: str


@dataclass(frozen=True, slots=True)
class Unfinished:
    """Jobs of one task in one queue that had not ended.

    Attributes:
        status: "todo" or "doing".
        oldest_at: when the oldest of them was deferred.
    """

    queue: str
    task: str
    status: str
    jobs: int
    oldest_at: datetime


# Only of what is put into the backup, so partitions and not their empty parents.
_TABLES = """
SELECT n.nspname AS schema, c.relname AS name
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND n.nspname = ANY(%(schemas)s)
ORDER BY 1, 2
"""
# md5 and not hashtext, whose answer may differ between major versions.
_CHECKSUM = """
SELECT count(*) AS rows,
    coalesce(sum(('x' || left(md5(t::text), 16))::bit(64)::bigint::numeric), 0)::text AS checksum
FROM {table} AS t
"""
_UNFINISHED = """
SELECT queue_name AS queue, task_name AS task, status::text AS status, count(*) AS jobs,
    min(deferred_at) AS oldest_at
FROM {jobs}
WHERE status IN ('todo', 'doing')
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3
"""


def connect(conninfo: str) -> Connection:
    """A connection that shows every value the same way on every machine, outside a transaction."""
    connection = psycopg.connect(conninfo, autocommit=True, row_factory=dict_row)
    try:
        # Not as options of the start: PgBouncer refuses those.
        for setting, value in _SHOWN.items():
            connection.execute("SELECT set_config(%s, %s, false)", [setting, value])
    except BaseException:
        connection.close()
        raise
    return connection


def schemas_there(connection: Connection, names: Sequence[str]) -> list[str]:
    """Those of the schemas that exist."""
    rows = connection.execute(
        "SELECT nspname AS name FROM pg_catalog.pg_namespace WHERE nspname = ANY(%s) ORDER BY 1",
        [list(names)],
    )
    return [row["name"] for row in rows]


def tables(connection: Connection, schemas: Sequence[str], told: Told) -> dict[str, TableContents]:
    """Every table's contents, by "schema.table", in the caller's transaction."""
    names = connection.execute(_TABLES, {"schemas": list(schemas)}).fetchall()
    found = {}
    for number, row in enumerate(names):
        told(f"{row['schema']}.{row['name']}", number, len(names))
        query = sql.SQL(_CHECKSUM).format(table=sql.Identifier(row["schema"], row["name"]))
        one = connection.execute(query).fetchone()
        assert one is not None  # noqa: S101 - an aggregate has one row
        found[f"{row['schema']}.{row['name']}"] = TableContents(one["rows"], one["checksum"])
    return found


def unfinished(connection: Connection, schema: str) -> list[Unfinished]:
    """What would run again, by queue and task, in the caller's transaction."""
    jobs = sql.Identifier(schema, "procrastinate_jobs")
    return [Unfinished(**row) for row in connection.execute(sql.SQL(_UNFINISHED).format(jobs=jobs))]
