"""Datasets as a screen lists them."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from taskhub.accounts.models import Tenant
from taskhub.kb.datasets.models import Dataset
from taskhub.kb.documents.models import Document
from taskhub.kb.documents.switches import listed

# Documents of one dataset are counted up to here: a screen needs no more, and an index gives it at once.
MOST_COUNTED = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetLine:
    """One dataset.

    Attributes:
        documents: as they are counted; MOST_COUNTED stands for that many or more.
        next_model: the model whose vectors are being built; None: none.
        searched_at: to the minute.
    """

    dataset_id: int
    tenant: str
    name: str
    technique: str
    embedding_model: str
    next_model: str | None
    documents: int
    created_at: datetime
    searched_at: datetime | None


def page(session: Session, *, after_id: int = 0, limit: int = 50) -> list[DatasetLine]:
    """The datasets of all tenants by id, from behind `after_id` on; not those that are being deleted."""
    some = (
        select(Document.id)
        .where(Document.dataset_id == Dataset.id, listed())
        .limit(MOST_COUNTED)
        .correlate(Dataset)
        .subquery()
    )
    documents = select(func.count()).select_from(some).scalar_subquery()
    rows = session.execute(
        select(Dataset, Tenant.name.label("tenant"), documents.label("documents"))
        .join(Tenant, Tenant.id == Dataset.tenant_id)
        .where(Dataset.id > after_id, Dataset.deleted_at.is_(None))
        .order_by(Dataset.id)
        .limit(limit)
    )
    return [
        DatasetLine(
            dataset_id=dataset.id,
            tenant=tenant,
            name=dataset.name,
            technique=dataset.technique.value,
            embedding_model=dataset.embedding_model,
            next_model=dataset.next_model,
            documents=counted,
            created_at=dataset.created_at,
            searched_at=dataset.searched_at,
        )
        for dataset, tenant, counted in rows
    ]
