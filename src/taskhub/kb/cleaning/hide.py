"""What is to go is hidden at once, and whoever works on it comes to an end before it goes."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session

from taskhub.kb.apps.models import App
from taskhub.kb.datasets.models import Dataset
from taskhub.kb.documents.models import Document
from taskhub.kb.documents.state import document_states

# The full lock would wait for every batch of indexing that has written rows of the dataset.
LIGHT = {"key_share": True}


def hide_dataset(session: Session, dataset_id: int) -> bool:
    """Hide the dataset from now on, in the caller's transaction; False if it is gone already."""
    return _mark(session, session.get(Dataset, dataset_id, with_for_update=LIGHT))


def hide_app(session: Session, app_id: int) -> bool:
    """Let the app answer nothing from now on, in the caller's transaction; False if it is gone."""
    return _mark(session, session.get(App, app_id, with_for_update=LIGHT))


def of_tenant(session: Session, tenant_id: int) -> tuple[list[int], list[int]]:
    """The ids of a tenant's datasets and of its apps, with those that are hidden already."""
    datasets = select(Dataset.id).where(Dataset.tenant_id == tenant_id).order_by(Dataset.id)
    apps = select(App.id).where(App.tenant_id == tenant_id).order_by(App.id)
    return list(session.scalars(datasets)), list(session.scalars(apps))


def hide_documents(session: Session, document_ids: Sequence[int]) -> list[int]:
    """Hide the documents from now on, in the caller's transaction; the ids of those there are.

    Each row is locked, by id: a batch of indexing that is under way is waited for, and none begins
    after it.
    """
    rows = session.scalars(
        select(Document.id)
        .where(Document.id.in_(document_ids))
        .order_by(Document.id)
        .with_for_update(key_share=True)
    ).all()
    session.execute(
        update(Document)
        .where(Document.id.in_(rows), Document.deleted_at.is_(None))
        # Search reads `enabled`: from this commit on nothing of them is found.
        .values(deleted_at=func.now(), enabled=False)
    )
    return list(rows)


def hide_batch(session: Session, dataset_id: int, after_id: int, limit: int) -> list[int]:
    """Hide the next documents of a dataset, by id, as `hide_documents`; none are left if it is empty."""
    ids = session.scalars(
        select(Document.id)
        .where(Document.dataset_id == dataset_id, Document.id > after_id)
        .order_by(Document.id)
        .limit(limit)
    ).all()
    return hide_documents(session, ids)


def jobs_of_documents(session: Session, document_ids: Sequence[int]) -> list[int]:
    """The jobs that work on these documents or wait to."""
    return _jobs(session, document_states.c.document_id.in_(document_ids), None)


def jobs_of_dataset(session: Session, dataset_id: int, limit: int) -> list[int]:
    """Up to `limit` jobs that work on documents of the dataset or wait to, those that run first."""
    return _jobs(session, document_states.c.dataset_id == dataset_id, limit)


def _jobs(session: Session, wanted: ColumnElement[bool], limit: int | None) -> list[int]:
    found = (
        select(document_states.c.job_id)
        .where(wanted, document_states.c.job_status.in_(("doing", "todo")))
        .order_by(document_states.c.job_status, document_states.c.job_id)
        .limit(limit)
    )
    return [job_id for job_id in session.scalars(found) if job_id is not None]


def _mark(session: Session, row: Dataset | App | None) -> bool:
    if row is None:
        return False
    row.deleted_at = row.deleted_at or session.scalar(select(func.now()))
    session.flush()
    return True
