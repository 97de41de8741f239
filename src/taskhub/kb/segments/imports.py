"""How far an import is: what is stored of it, joined with the job that works on it."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import BigInteger, Column, DateTime, Integer, MetaData, Table, Text, select
from sqlalchemy.orm import Session

from taskhub.db import KB_SCHEMA
from taskhub.kb.segments.edits import SegmentEdit

# A view, so not among the models, which are compared with the database's tables.
segment_import_states = Table(
    "segment_import_states",
    MetaData(),
    Column("import_id", BigInteger),
    Column("document_id", BigInteger),
    Column("name", Text),
    Column("created_at", DateTime(timezone=True)),
    Column("rows_total", Integer),
    Column("rows_done", Integer),
    Column("rows_waiting", Integer),
    Column("rows_bad", Integer),
    Column("job_id", BigInteger),
    Column("job_status", Text),
    Column("shown", Text),
    schema=KB_SCHEMA,
)


class UnknownImport(LookupError):
    """There is no such import; its document may have been deleted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportStatus:
    """One row of the view; `shown` is the sentence for a screen, "importing 30/100"."""

    import_id: int
    document_id: int
    name: str
    created_at: datetime
    rows_total: int
    rows_done: int
    rows_waiting: int
    rows_bad: int
    job_id: int | None
    job_status: str | None
    shown: str


def import_status(session: Session, import_id: int) -> ImportStatus:
    """How far one import is.

    Raises:
        UnknownImport: there is none.
    """
    row = (
        session.execute(
            select(segment_import_states).where(segment_import_states.c.import_id == import_id)
        )
        .mappings()
        .one_or_none()
    )
    if row is None:
        raise UnknownImport(f"import {import_id} does not exist; its document may be deleted")
    return ImportStatus(**row)


def bad_rows(session: Session, import_id: int, *, limit: int = 10_000) -> list[tuple[int, str]]:
    """The lines of an import that could not be used, each with the reason, in the file's order."""
    rows = session.execute(
        select(SegmentEdit.line, SegmentEdit.error)
        .where(SegmentEdit.import_id == import_id, SegmentEdit.error.is_not(None))
        .order_by(SegmentEdit.line)
        .limit(limit)
    )
    return [(row.line or 0, row.error or "") for row in rows]
