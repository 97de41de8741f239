"""How much room the tables take, and how much of it is waste."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from taskhub.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSize:
    """One table; the partitions of one are one.

    Attributes:
        bytes: with its indexes and what is stored beside it.
        live_rows, dead_rows: as the server last counted; dead ones wait for vacuum.
        vacuumed_at: when it last ran, by itself or not; None: it never has.
    """

    schema: str
    name: str
    bytes: int
    index_bytes: int
    live_rows: int
    dead_rows: int
    vacuumed_at: datetime | None


def tables(session: Session, settings: Settings, *, limit: int = 60) -> list[TableSize]:
    """The tables of the queue and of the knowledge base, the largest first."""
    # By the server's own statistics: to count the rows would take as long as to read them.
    rows = session.execute(
        text("""
            WITH known AS (
                SELECT coalesce(i.inhparent, s.relid) AS id, s.relid, s.n_live_tup, s.n_dead_tup,
                       greatest(s.last_vacuum, s.last_autovacuum) AS vacuumed_at
                FROM pg_stat_user_tables AS s
                LEFT JOIN pg_inherits AS i ON i.inhrelid = s.relid
                WHERE s.schemaname IN (:queue, :kb)
            )
            SELECT n.nspname AS schema, c.relname AS name,
                   sum(pg_total_relation_size(k.relid))::bigint AS bytes,
                   sum(pg_indexes_size(k.relid))::bigint AS index_bytes,
                   sum(k.n_live_tup)::bigint AS live_rows, sum(k.n_dead_tup)::bigint AS dead_rows,
                   max(k.vacuumed_at) AS vacuumed_at
            FROM known AS k
            JOIN pg_class AS c ON c.oid = k.id
            JOIN pg_namespace AS n ON n.oid = c.relnamespace
            GROUP BY n.nspname, c.relname
            ORDER BY bytes DESC, name
            LIMIT :limit
        """),
        {"queue": settings.schema, "kb": settings.kb_schema, "limit": limit},
    )
    return [TableSize(**row) for row in rows.mappings()]
