"""What may be found: the datasets that are asked, narrowed by documents and what is said of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, ColumnElement, Select, any_, bindparam, func, select
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import InstrumentedAttribute, Session

from taskhub.kb.documents.models import Document, DocumentState
from taskhub.kb.segments.models import Segment, SegmentState

# Up to so many segments a look at each one is as fast as an index, and misses none: 3,000 vectors
# of width 512 are compared in 8 ms (pgvector 0.8.6, 2026-11).
SMALL = 3_000


class Shape(NamedTuple):
    """Which filters there are. Statements are made once for each shape: to make one takes 4 ms."""

    by_document: bool
    by_metadata: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Datasets, and of them all documents or some."""

    dataset_ids: tuple[int, ...]
    document_ids: tuple[int, ...] | None = None
    metadata: Mapping[str, Any] | None = None

    @property
    def shape(self) -> Shape:
        """The filters beside the datasets."""
        return Shape(self.document_ids is not None, bool(self.metadata))

    @property
    def values(self) -> dict[str, Any]:
        """What the parameters of `segments` are."""
        given: dict[str, Any] = {"dataset_ids": list(self.dataset_ids)}
        if self.document_ids is not None:
            given["document_ids"] = list(self.document_ids)
        if self.metadata:
            given["metadata"] = dict(self.metadata)
        return given

    def size(self, session: Session) -> int:
        """How many segments lie in it, counted up to SMALL + 1."""
        return session.scalar(_size(self.shape), self.values) or 0


def segments(shape: Shape) -> list[ColumnElement[bool]]:
    """Conditions on the row of a segment that may be found."""
    own = [
        among(Segment.dataset_id, "dataset_ids"),
        Segment.enabled.is_(True),
        Segment.state == SegmentState.COMPLETED,
    ]
    if shape.by_document:
        own.append(among(Segment.document_id, "document_ids"))
    if shape.by_metadata:
        described = select(Document.id).where(
            among(Document.dataset_id, "dataset_ids"),
            Document.details.contains(bindparam("metadata", type_=JSONB)),
        )
        own.append(Segment.document_id.in_(described))
    return own


def documents() -> list[ColumnElement[bool]]:
    """Conditions on the row of its document."""
    return [
        Document.enabled.is_(True),
        Document.archived.is_(False),
        Document.state == DocumentState.COMPLETED,
    ]


@cache
def segment_ids(shape: Shape) -> Select[int]:
    """The ids of all segments that may be found."""
    return (
        select(Segment.id)
        .join(Document, Document.id == Segment.document_id)
        .where(*segments(shape), *documents())
    )


def among(column: InstrumentedAttribute[int], parameter: str) -> ColumnElement[bool]:
    """The column's value is one of a list, which is one parameter: the statement stays the same."""
    return column == any_(bindparam(parameter, type_=ARRAY(BigInteger)))


@cache
def _size(shape: Shape) -> Select[int]:
    # Without filters beside the dataset the index alone can tell.
    wanted = segments(shape) if any(shape) else [among(Segment.dataset_id, "dataset_ids")]
    some = select(Segment.id).where(*wanted).limit(SMALL + 1).subquery()
    return select(func.count()).select_from(some)
