"""A guard behind autovacuum: tables that rot are vacuumed and analysed, a few at a time."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg.sql import SQL, Identifier
from sqlalchemy import RowMapping

from taskhub import db
from taskhub.queue import Hub, horizon

logger = logging.getLogger("taskhub.refresh")
# Autovacuum begins at 20 % of a table; twice of that means that it does not keep up.
ROWS = 10_000
SHARE = 0.4
MOST_TABLES = 5
LOCK_SECONDS = 5
STATEMENT_SECONDS = 1800


@dataclass(slots=True)
class Refreshed:
    """What was done, by schema.table; `held_by` names who makes a vacuum useless, and none was run."""

    vacuumed: list[str] = field(default_factory=list)
    analysed: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    held_by: str | None = None


def refresh(
    hub: Hub, told: Callable[[int, int, str], None] = lambda _done, _of, _what: None
) -> Refreshed:
    """Look at the tables of both schemas and mend the worst ones, outside of any transaction.

    A table that somebody locks is skipped: the next run comes to it.
    """
    done = Refreshed()
    rotten = hub.read(
        "rotten_tables",
        schemas=[hub.settings.schema, hub.settings.kb_schema],
        rows=ROWS,
        share=SHARE,
        limit=MOST_TABLES,
    )
    if not rotten:
        return done
    held = horizon.hold(hub)
    if held is not None:
        done.held_by = str(held)
        logger.warning("vacuum would be useless", extra={"holder": held.holder.told()})
    with psycopg.connect(db.conninfo(hub.url), autocommit=True) as connection:
        # Both would stay behind in a pool, but this connection is closed.
        connection.execute(SQL("SET lock_timeout = {}").format(f"{LOCK_SECONDS}s"))
        connection.execute(SQL("SET statement_timeout = {}").format(f"{STATEMENT_SECONDS}s"))
        for number, row in enumerate(rotten):
            told(number, len(rotten), f"{row['schema_name']}.{row['table_name']}")
            _mend(connection, row, done)
    return done


def _mend(connection: psycopg.Connection[Any], row: RowMapping, done: Refreshed) -> None:
    vacuums = row["needs_vacuum"] and done.held_by is None
    if not vacuums and not row["needs_analyze"]:
        return
    name = f"{row['schema_name']}.{row['table_name']}"
    what = "VACUUM (ANALYZE, SKIP_LOCKED) {}" if vacuums else "ANALYZE (SKIP_LOCKED) {}"
    table = Identifier(row["schema_name"], row["table_name"])
    try:
        connection.execute(SQL(what).format(table))
    except psycopg.Error as error:
        logger.warning("table not refreshed", extra={"table": name, "reason": str(error)})
        done.skipped.append(name)
        return
    (done.vacuumed if vacuums else done.analysed).append(name)
