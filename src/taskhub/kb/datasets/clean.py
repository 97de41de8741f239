"""Remove a dataset and all that belongs to it, in batches of bounded size."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from sqlalchemy import ColumnElement, Table, delete, func, select, tuple_
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import Session

from taskhub.db import Base
from taskhub.kb.datasets.models import Dataset
from taskhub.kb.documents.models import Document, DocumentPart
from taskhub.kb.segments.models import Segment
from taskhub.kb.vectors.store import tables

Key = tuple[Any, ...]


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
    table: Table
    keys: tuple[ColumnElement[Any], ...]
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
    counts: dict[str, int | None] = {}
    for kind in _kinds(session, dataset_id):
        number = session.scalar(select(func.count()).select_from(kind.table).where(kind.belongs))
        counts[kind.name] = (counts.get(kind.name) or 0) + (number or 0)
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
    kinds = _kinds(session, dataset_id)
    kind = kinds[place.kind]
    keys = _keys(session, kind, place.after, limit)
    aside = _remove(session, kind, keys)
    gone = {kind.name: len(keys) - len(aside)}
    if len(keys) == limit:
        return Cleaned(gone, aside, Place(place.kind, keys[-1]))
    last = place.kind + 1 == len(kinds)
    return Cleaned(gone, aside, None if last else Place(place.kind + 1))


def _kinds(session: Session, dataset_id: int) -> list[_Kind]:
    """From the leaves to the root, so that no batch sets off a large cascade."""
    documents = select(Document.id).where(Document.dataset_id == dataset_id).scalar_subquery()
    segment, part = _table(Segment), _table(DocumentPart)
    document, dataset = _table(Document), _table(Dataset)
    vectors = [
        _Kind("vectors", t, tuple(t.primary_key.columns), t.c.dataset_id == dataset_id)
        for t in tables(session)
    ]
    return [
        *vectors,
        _Kind("segments", segment, (segment.c.id,), segment.c.dataset_id == dataset_id),
        _Kind(
            "parts", part, (part.c.document_id, part.c.number), part.c.document_id.in_(documents)
        ),
        _Kind("documents", document, (document.c.id,), document.c.dataset_id == dataset_id),
        _Kind("datasets", dataset, (dataset.c.id,), dataset.c.id == dataset_id),
    ]


def _table(model: type[Base]) -> Table:
    return cast(Table, model.__table__)


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
    try:
        with session.begin_nested():
            session.execute(delete(kind.table).where(tuple_(*kind.keys).in_(keys)))
    except OperationalError:
        raise  # a deadlock or a lost connection says nothing about the row; the job tries again
    except DBAPIError as error:
        return str(error.orig).splitlines()[0]
    return None
