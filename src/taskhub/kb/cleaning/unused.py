"""Datasets that nobody uses: their documents are disabled, and noted for a notice to the owner."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, and_, exists, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, aliased

from taskhub.kb.cleaning.models import DatasetAutoDisabled
from taskhub.kb.datasets.models import Dataset
from taskhub.kb.documents.models import Document

NOTE_SECONDS = 60


def due(datasets: Sequence[Dataset]) -> list[int]:
    """The ids of those whose last search was noted a minute ago, or never."""
    soon = datetime.now(UTC) - timedelta(seconds=NOTE_SECONDS)
    return [d.id for d in datasets if d.searched_at is None or d.searched_at < soon]


def note_search(session: Session, dataset_ids: Sequence[int]) -> None:
    """Note that these were searched, in the caller's transaction; for those that are `due`.

    It never waits: a dataset that somebody else notes now, or holds, is noted next time. A
    transaction that may only read writes nothing.
    """
    if not dataset_ids or session.scalar(text("SHOW transaction_read_only")) == "on":
        return
    free = (
        select(Dataset.id)
        .where(Dataset.id.in_(dataset_ids))
        .order_by(Dataset.id)
        # Not the full lock, which an index job's new rows would hold up.
        .with_for_update(skip_locked=True, key_share=True)
    )
    session.execute(
        update(Dataset)
        .where(Dataset.id.in_(free.scalar_subquery()))
        .values(searched_at=func.now()),
        execution_options={"synchronize_session": False},
    )


def following(session: Session, after_id: int, days: int) -> int | None:
    """The next dataset, by id, that is unused for so many days and has enabled documents."""
    return session.scalar(
        select(Dataset.id)
        .where(Dataset.id > after_id, _is_unused(days), exists().where(_to_disable(days)))
        .order_by(Dataset.id)
        .limit(1)
    )


def disable_batch(session: Session, dataset_id: int, days: int, limit: int) -> int:
    """Disable up to `limit` documents of a dataset that is still unused; how many."""
    # Locked, so that a search that comes now is either seen or noted after this batch.
    still = session.scalar(
        select(Dataset.id)
        .where(Dataset.id == dataset_id, _is_unused(days))
        .with_for_update(key_share=True)
    )
    if still is None:
        return 0
    wanted = (
        select(Document.id)
        .join(Dataset, Dataset.id == Document.dataset_id)
        .where(Dataset.id == dataset_id, _to_disable(days))
        .order_by(Document.id)
        .limit(limit)
        .with_for_update(of=Document, skip_locked=True)
    )
    rows = session.execute(
        update(Document)
        .where(Document.id.in_(session.scalars(wanted).all()))
        .values(enabled=False)
        .returning(Document.id, Document.dataset_id, Document.tenant_id)
    ).all()
    if rows:
        new = insert(DatasetAutoDisabled).values(
            [
                {"document_id": r.id, "dataset_id": r.dataset_id, "tenant_id": r.tenant_id}
                for r in rows
            ]
        )
        session.execute(
            new.on_conflict_do_update(
                index_elements=["document_id"],
                set_={"disabled_at": func.now(), "notified_at": None},
            )
        )
    return len(rows)


def count(session: Session, days: int) -> dict[str, int]:
    """How many datasets and documents a run would touch now."""
    datasets, documents = session.execute(
        select(func.count(Dataset.id.distinct()), func.count())
        .select_from(Dataset)
        .join(Document, _to_disable(days))
        .where(_is_unused(days))
    ).one()
    return {"datasets": int(datasets), "documents": int(documents)}


def _ago(days: int) -> ColumnElement[datetime]:
    return func.now() - func.make_interval(0, 0, 0, days)


def _is_unused(days: int) -> ColumnElement[bool]:
    # An alias: the question may be asked of documents too, which are not these.
    fresh = aliased(Document)
    is_fed = exists().where(fresh.dataset_id == Dataset.id, fresh.created_at >= _ago(days))
    return and_(
        Dataset.deleted_at.is_(None),
        Dataset.created_at < _ago(days),
        or_(Dataset.searched_at.is_(None), Dataset.searched_at < _ago(days)),
        ~is_fed,
    )


def _to_disable(days: int) -> ColumnElement[bool]:
    # Somebody who enables a document again is left in peace for as long once more.
    is_fresh = exists().where(
        DatasetAutoDisabled.document_id == Document.id,
        DatasetAutoDisabled.disabled_at >= _ago(days),
    )
    return and_(
        Document.dataset_id == Dataset.id,
        Document.enabled,
        Document.archived.is_(False),
        Document.deleted_at.is_(None),
        ~is_fresh,
    )
