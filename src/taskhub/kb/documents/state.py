"""Where a document stands: the stage it reached, joined with the job that works on it."""

import enum
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Integer,
    MetaData,
    Table,
    Text,
    exists,
    or_,
    select,
)
from sqlalchemy.orm import Session

from taskhub.db import KB_SCHEMA
from taskhub.kb.documents.failures import UnknownDocument
from taskhub.kb.documents.models import Document

# A view, so not among the models, which are compared with the database's tables. A Table all the
# same: only those follow the schema's name where a setting changes it.
document_states = Table(
    "document_states",
    MetaData(),
    Column("document_id", BigInteger),
    Column("dataset_id", BigInteger),
    Column("tenant_id", BigInteger),
    Column("batch_id", BigInteger),
    Column("name", Text),
    Column("state", Text),
    Column("condition", Text),
    Column("shown", Text),
    Column("error", Text),
    Column("error_kind", Text),
    Column("segments_done", Integer),
    Column("segments_total", Integer),
    Column("job_id", BigInteger),
    Column("job_status", Text),
    Column("job_attempts", Integer),
    Column("scheduled_at", DateTime(timezone=True)),
    schema=KB_SCHEMA,
)


class Condition(enum.StrEnum):
    """What a document's stage and its job come to together."""

    WAITING = "waiting"
    WORKING = "working"
    COMPLETED = "completed"
    FAILED = "failed"
    PAUSED = "paused"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentStatus:
    """One row of the view; `shown` is the sentence for a screen, "indexing 3/10"."""

    document_id: int
    dataset_id: int
    tenant_id: int
    batch_id: int | None
    name: str
    state: str
    condition: Condition
    shown: str
    error: str | None
    error_kind: str | None
    segments_done: int
    segments_total: int
    job_id: int | None
    job_status: str | None
    job_attempts: int | None
    scheduled_at: datetime | None


def status(session: Session, document_id: int) -> DocumentStatus:
    """Where one document stands.

    Raises:
        UnknownDocument: there is none.
    """
    found = session.execute(
        select(document_states).where(document_states.c.document_id == document_id)
    ).mappings()
    row = found.one_or_none()
    if row is None:
        raise UnknownDocument(f"document {document_id} does not exist; it may have been deleted")
    return DocumentStatus(**{**row, "condition": Condition(row["condition"])})


def statuses(
    session: Session, dataset_id: int, *, after_id: int = 0, limit: int = 1000
) -> list[DocumentStatus]:
    """Where a dataset's documents stand, by id, from behind `after_id` on.

    Neither a new version that is built beside its document, nor one that is being deleted.
    """
    is_hidden = exists().where(
        Document.id == document_states.c.document_id,
        or_(Document.replaces_id.is_not(None), Document.deleted_at.is_not(None)),
    )
    rows = session.execute(
        select(document_states)
        .where(
            document_states.c.dataset_id == dataset_id,
            document_states.c.document_id > after_id,
            ~is_hidden,
        )
        .order_by(document_states.c.document_id)
        .limit(limit)
    ).mappings()
    return [DocumentStatus(**{**row, "condition": Condition(row["condition"])}) for row in rows]
