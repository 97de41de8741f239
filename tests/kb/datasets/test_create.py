import pytest
from sqlalchemy.orm import Session

from taskhub.accounts.tenants import ensure
from taskhub.kb.datasets.create import DatasetExists, UnknownDataset, create, find, get
from tests.kb.makers import make_dataset


def test_a_name_is_taken_once_per_tenant(session: Session) -> None:
    one, other = ensure(session, "one"), ensure(session, "other")
    made = create(session, one.id, "handbook")
    create(session, other.id, "handbook")

    with pytest.raises(DatasetExists, match="dataset 'handbook' exists"):
        create(session, one.id, "handbook")

    assert find(session, one.id, "handbook") is made
    assert find(session, one.id, "nothing") is None


def test_a_tenant_is_made_once(session: Session) -> None:
    assert ensure(session, "acme").id == ensure(session, "acme").id


def test_names_are_checked(session: Session) -> None:
    tenant = ensure(session, "acme")

    with pytest.raises(ValueError, match="tenant name must not be empty"):
        ensure(session, " ")
    with pytest.raises(ValueError, match="dataset name must not be empty"):
        create(session, tenant.id, "")


def test_a_dataset_that_is_being_deleted_is_not_there(session: Session) -> None:
    dataset = make_dataset(session)
    dataset.deleted_at = dataset.created_at
    session.flush()

    assert find(session, dataset.tenant_id, dataset.name) is None
    with pytest.raises(UnknownDataset, match=f"dataset {dataset.id} does not exist"):
        get(session, dataset.id)
