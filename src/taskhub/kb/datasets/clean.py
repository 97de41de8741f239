"""Remove a dataset and all that belongs to it, in batches of bounded size."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, delete, func, select, tuple_
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import InstrumentedAttribute, Session

from taskhub.kb.datasets.models import Dataset
from taskhub.kb.documents.models import Document, DocumentPart
from taskhub.kb.segments.models import Segment
from taskhub.kb.vectors.models import SegmentVector512

Key = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Where the next batch begins: behind this key of this kind of rows."""

    kind: int = 0
    after: Key | None = None


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What one batch removed.

    Attributes:
        gone: rows removed, by kind.
        set_aside: kind, key and reason of each row that cannot go.
        following: where the next batch begins; None when the dataset is through.
    """

    gone: dict[str, int]
    set_aside: list[tuple[str, Key, str]] = field(default_factory=list)
    following: Place | None = None


@dataclass(frozen=True, slots=True)
class _Kind:
    name: str
    keys: tuple[InstrumentedAttribute[int], ...]
    belongs: ColumnElement[bool]


def mark_deleted(session: Session, dataset_id: int) -> bool:
    """Hide the dataset from now on, in the caller's transaction; False if it is gone already."""
    dataset = session.get(Dataset, dataset_id, with_for_update=True)
    if dataset is None:
        return False
    dataset.deleted_at = dataset.deleted_at or session.scalar(select(func.now()))
    session.flush()
    return True


def count(session: Session, dataset_id: int) -> dict[str, int]:
    """How many rows of each kind the dataset has: what a clean-up would remove."""
    counts = {
        kind.name: session.scalar(
            select(func.count()).select_from(kind.keys[0].class_).where(kind.belongs)
        )
        for kind in _kinds(dataset_id)
    }
    counts["keywords"] = session.scalar(
        select(func.coalesce(func.sum(func.cardinality(Segment.keywords)), 0)).where(
            Segment.dataset_id == dataset_id
        )
    )
    return {name: int(number or 0) for name, number in counts.items()}


def clean_batch(
    session: Session, dataset_id: int, limit: int = 500, *, place: Place | None = None
) -> Cleaned:
    """Remove up to `limit` rows of one kind, in the caller's transaction; then commit and go on.

    Vectors go first, then segments with their words, the files' parts, documents, the dataset
    itself. A row that cannot go is set aside and the batch goes on behind it. The embedding cache
    stays: it belongs to no dataset.
    """
    if limit < 1:
        raise ValueError(f"limit must be 1 or more, got {limit}")
    place = place or Place()
    kinds = _kinds(dataset_id)
    kind = kinds[place.kind]
    keys = _keys(session, kind, place.after, limit)
    aside = _remove(session, kind, keys)
    gone = {kind.name: len(keys) - len(aside)}
    if len(keys) == limit:
        return Cleaned(gone, aside, Place(place.kind, keys[-1]))
    last = place.kind + 1 == len(kinds)
    return Cleaned(gone, aside, None if last else Place(place.kind + 1))


def _kinds(dataset_id: int) -> list[_Kind]:
    """From the leaves to the root, so that no batch sets off a large cascade."""
    documents = select(Document.id).where(Document.dataset_id == dataset_id).scalar_subquery()
    return [
        _Kind("vectors", (SegmentVector512.segment_id,), SegmentVector512.dataset_id == dataset_id),
        _Kind("segments", (Segment.id,), Segment.dataset_id == dataset_id),
        _Kind(
            "parts",
            (DocumentPart.document_id, DocumentPart.number),
            DocumentPart.document_id.in_(documents),
        ),
        _Kind("documents", (Document.id,), Document.dataset_id == dataset_id),
        _Kind("datasets", (Dataset.id,), Dataset.id == dataset_id),
    ]


def _keys(session: Session, kind: _Kind, after: Key | None, limit: int) -> list[Key]:
    query = select(*kind.keys).where(kind.belongs).order_by(*kind.keys).limit(limit)
    if after is not None:
        query = query.where(tuple_(*kind.keys) > after)
    return [tuple(row) for row in session.execute(query)]


def _remove(session: Session, kind: _Kind, keys: Sequence[Key]) -> list[tuple[str, Key, str]]:
    """The rows that stay, with their reasons; the others are deleted."""
    if not keys or _deleted(session, kind, keys) is None:
        return []
    # One of them is held fast, by a trigger or a foreign key of somebody else: find out which.
    aside = [(kind.name, key, _deleted(session, kind, [key])) for key in keys]
    return [(name, key, reason) for name, key, reason in aside if reason is not None]


def _deleted(session: Session, kind: _Kind, keys: Sequence[Key]) -> str | None:
    """Delete the rows in a savepoint; the reason if the database refuses."""
    model: Any = kind.keys[0].class_
    try:
        with session.begin_nested():
            session.execute(
                delete(model).where(tuple_(*kind.keys).in_(keys)),
                execution_options={"synchronize_session": False},
            )
    except OperationalError:
        raise  # a deadlock or a lost connection says nothing about the row; the job tries again
    except DBAPIError as error:
        return str(error.orig).splitlines()[0]
    return None
