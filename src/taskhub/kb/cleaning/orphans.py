"""Rows without their owner, which the foreign keys forbid and a hand in the database may leave."""

from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, ForeignKey, Table, and_, exists, func, or_, select
from sqlalchemy.orm import Session

from taskhub.db import Base
from taskhub.kb.apps.models import App
from taskhub.kb.cleaning import batches
from taskhub.kb.cleaning.kinds import Kind, cascades
from taskhub.kb.datasets.models import Dataset
from taskhub.kb.documents.models import Document

# A clean-up has so long before what it was to remove counts as left behind.
PATIENCE_MINUTES = 60
MOST = 1000


@dataclass(frozen=True, slots=True)
class LeftBehind:
    """Ids of what was deleted long ago and is still there, at most MOST of each."""

    dataset_ids: list[int] = field(default_factory=list)
    document_ids: list[int] = field(default_factory=list)
    app_ids: list[int] = field(default_factory=list)


def orphans(session: Session) -> dict[str, int]:
    """How many rows of each table lack an owner, or sit with another one than what owns them does.

    Also what was deleted an hour ago or more and is still there. Kinds without any are left out, so
    an empty answer is a clean database. Reads whole tables: seconds for a million segments.
    """
    counts = batches.count(session, kinds())
    left = left_behind(session)
    counts["deleted datasets"] = len(left.dataset_ids)
    counts["deleted documents"] = len(left.document_ids)
    counts["deleted apps"] = len(left.app_ids)
    return {name: number for name, number in counts.items() if number}


def kinds() -> list[Kind]:
    """What is wrong with each table's rows, from the leaves to the roots."""
    found = []
    for each in reversed(Base.metadata.sorted_tables):
        wrong = [_is_lost(each, key) for key in cascades(each)]
        if wrong:
            found.append(Kind(each.name, each, or_(*wrong)))
    return found


def left_behind(session: Session) -> LeftBehind:
    """What was deleted so long ago that its clean-up must have failed or been cancelled."""
    long_ago = func.now() - func.make_interval(0, 0, 0, 0, 0, PATIENCE_MINUTES)
    datasets = session.scalars(
        select(Dataset.id).where(Dataset.deleted_at < long_ago).order_by(Dataset.id).limit(MOST)
    ).all()
    apps = session.scalars(
        select(App.id).where(App.deleted_at < long_ago).order_by(App.id).limit(MOST)
    ).all()
    documents = session.scalars(
        select(Document.id)
        # Those of a deleted dataset go with it.
        .where(Document.deleted_at < long_ago, Document.dataset_id.not_in(_deleted_datasets()))
        .order_by(Document.id)
        .limit(MOST)
    ).all()
    return LeftBehind(list(datasets), list(documents), list(apps))


def _deleted_datasets() -> ColumnElement[int]:
    return select(Dataset.id).where(Dataset.deleted_at.is_not(None)).scalar_subquery()


def _is_lost(child: Table, key: ForeignKey) -> ColumnElement[bool]:
    """The owner is not there, or belongs to somebody else than the row says it does itself."""
    owner = key.column.table.alias()
    same = [owner.c[key.column.name] == key.parent]
    for other in cascades(child):
        shared = [k for k in cascades(key.column.table) if k.column.table is other.column.table]
        if other is not key and not other.parent.nullable and len(shared) == 1:
            same.append(owner.c[shared[0].parent.name] == other.parent)
    return and_(key.parent.is_not(None), ~exists().where(*same))
