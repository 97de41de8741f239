"""A dataset's documents as a screen lists them: where each stands, and what may be done to it."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Select, any_, bindparam, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from taskhub.kb.documents.models import Document
from taskhub.kb.documents.state import Condition, document_states
from taskhub.kb.documents.switches import check_known, listed

# What fits is looked for among so many documents a page: whether one fits is known by its job alone.
LOOK_DOCUMENTS = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentLine:
    """One document; `shown` is the sentence for a screen, "indexing 3/10"."""

    document_id: int
    dataset_id: int
    name: str
    condition: Condition
    shown: str
    error: str | None
    segments_done: int
    segments_total: int
    job_id: int | None
    job_status: str | None
    enabled: bool
    archived: bool
    bytes: int
    tokens: int
    source: str | None
    created_at: datetime
    completed_at: datetime | None


@dataclass(frozen=True, slots=True)
class DocumentPage:
    """Some documents by id.

    Attributes:
        after_id: where the next page begins; None where there are no more documents to look at. A page
            of some conditions may be short or empty and not the last.
    """

    documents: list[DocumentLine]
    after_id: int | None


def page(
    session: Session,
    dataset_id: int,
    *,
    conditions: Collection[Condition] = (),
    after_id: int = 0,
    limit: int = 50,
) -> DocumentPage:
    """A dataset's documents from behind `after_id` on, of all conditions or of some.

    Looks at 2,000 documents at most.
    """
    look = LOOK_DOCUMENTS if conditions else limit
    some = session.scalars(
        select(Document.id)
        .where(Document.dataset_id == dataset_id, Document.id > after_id, listed())
        .order_by(Document.id)
        .limit(look + 1)
    ).all()
    if not some:
        return DocumentPage([], None)
    looked_at = some[:look]
    # One parameter, however many they are: to write two thousand takes longer than to look.
    among = Document.id == any_(bindparam("ids", looked_at, type_=ARRAY(BigInteger)))
    wanted = _lines().where(among).order_by(Document.id).limit(limit + 1)
    if conditions:
        told = [condition.value for condition in conditions]
        wanted = wanted.where(document_states.c.condition.in_(told))
    found = [_line(row) for row in session.execute(wanted).mappings()]
    if len(found) > limit:
        return DocumentPage(found[:limit], found[limit - 1].document_id)
    return DocumentPage(found, looked_at[-1] if len(some) > look else None)


def one(session: Session, document_id: int) -> DocumentLine:
    """One document.

    Raises:
        UnknownDocument: there is none.
    """
    check_known(session, document_id)
    return _line(session.execute(_lines().where(Document.id == document_id)).mappings().one())


def _lines() -> Select[Any]:
    states = document_states.c
    return select(
        Document.id.label("document_id"), Document.dataset_id, Document.name, states.condition,
        states.shown, states.error, Document.segments_done, Document.segments_total, Document.job_id,
        states.job_status, Document.enabled, Document.archived, Document.bytes, Document.tokens,
        Document.source, Document.created_at, Document.completed_at,
    ).join(document_states, states.document_id == Document.id)  # fmt: skip


def _line(row: Any) -> DocumentLine:
    return DocumentLine(**{**row, "condition": Condition(row["condition"])})
