"""What may be found: the datasets that are asked, narrowed by documents and what is said of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, ColumnElement, Integer, Select, any_, bindparam, func, select
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import InstrumentedAttribute, Session

from taskhub.kb.documents.models import Document, DocumentState
from taskhub.kb.segments.models import Segment, SegmentState

# Up to so many segments a look at each one is as fast as an index, and misses none: 3,000 vectors
# of width 512 are compared in 8 ms (pgvector 0.8.6, 2026-11).
SMALL = 3_000
# The index knows datasets and no documents: of some documents so many segments are looked at.
SMALL_OF_DOCUMENTS = 20_000
# Up to so many documents that fit a metadata filter are known by their ids from then on.
MOST_DOCUMENTS = 2_000


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
        """What the parameters of `segments` and `documents` are."""
        given: dict[str, Any] = {"dataset_ids": list(self.dataset_ids)}
        if self.document_ids is not None:
            given["document_ids"] = list(self.document_ids)
        if self.metadata:
            given["metadata"] = dict(self.metadata)
        return given

    def resolved(self, session: Session) -> "Scope":
        """The same by ids instead of metadata, if few documents fit: an index knows ids."""
        if not self.metadata:
            return self
        given = self.values | {"most": MOST_DOCUMENTS + 1}
        fitting = session.scalars(_fitting(self.shape), given).all()
        if len(fitting) > MOST_DOCUMENTS:
            return self
        return Scope(dataset_ids=self.dataset_ids, document_ids=tuple(fitting))

    def size(self, session: Session) -> int | None:
        """How many segments it has if each of them can be looked at; None if they are too many."""
        most = SMALL if self.document_ids is None else SMALL_OF_DOCUMENTS
        size = session.scalar(_size(self.shape), self.values | {"most": most + 1}) or 0
        return size if size <= most else None


def segments(shape: Shape) -> list[ColumnElement[bool]]:
    """Conditions on the row of a segment that may be found."""
    own = [
        among(Segment.dataset_id, "dataset_ids"),
        Segment.enabled.is_(True),
        Segment.state == SegmentState.COMPLETED,
    ]
    if shape.by_document:
        own.append(among(Segment.document_id, "document_ids"))
    return own


def documents(shape: Shape) -> list[ColumnElement[bool]]:
    """Conditions on the row of its document."""
    own = [
        Document.enabled.is_(True),
        Document.archived.is_(False),
        Document.state == DocumentState.COMPLETED,
    ]
    return own + _described(shape)


@cache
def segment_ids(shape: Shape) -> Select[int]:
    """The ids of all segments that may be found."""
    return (
        select(Segment.id)
        .join(Document, Document.id == Segment.document_id)
        .where(*segments(shape), *documents(shape))
    )


def among(column: InstrumentedAttribute[int], parameter: str) -> ColumnElement[bool]:
    """The column's value is one of a list, which is one parameter: the statement stays the same."""
    return column == any_(bindparam(parameter, type_=ARRAY(BigInteger)))


def _described(shape: Shape) -> list[ColumnElement[bool]]:
    if not shape.by_metadata:
        return []
    return [Document.details.contains(bindparam("metadata", type_=JSONB))]


@cache
def _fitting(shape: Shape) -> Select[int]:
    own = [among(Document.dataset_id, "dataset_ids"), *_described(shape)]
    if shape.by_document:
        own.append(among(Document.id, "document_ids"))
    return select(Document.id).where(*own).limit(bindparam("most", type_=Integer))


@cache
def _size(shape: Shape) -> Select[int]:
    own = [among(Segment.dataset_id, "dataset_ids")]
    if shape.by_document:
        own.append(among(Segment.document_id, "document_ids"))
    some = select(Segment.id).where(*own).limit(bindparam("most", type_=Integer)).subquery()
    return select(func.count()).select_from(some)
