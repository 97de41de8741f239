from datetime import datetime

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from taskhub.kb.datasets.models import Dataset
from taskhub.kb.vectors.search import search
from tests.kb.makers import make_dataset, make_indexed


def searched_at(session: Session, dataset: Dataset) -> datetime | None:
    session.expire_all()
    return session.scalars(select(Dataset.searched_at).where(Dataset.id == dataset.id)).one()


def test_a_search_is_noted_for_the_datasets_that_were_asked(
    session: Session, dataset: Dataset
) -> None:
    other = make_dataset(session)
    make_indexed(session, dataset, "Otters swim.")

    search(session, "otters", [dataset.id])

    assert searched_at(session, dataset) is not None
    assert searched_at(session, other) is None


def test_it_is_noted_once_a_minute_and_not_for_each_search(
    session: Session, dataset: Dataset
) -> None:
    seconds_ago = {}
    for seconds in (30, 90):
        at = session.scalar(select(func.now() - func.make_interval(0, 0, 0, 0, 0, 0, seconds)))
        dataset.searched_at = at
        session.flush()
        search(session, "otters", [dataset.id])
        seconds_ago[seconds] = searched_at(session, dataset) == at

    assert seconds_ago == {30: True, 90: False}


def test_a_transaction_that_may_only_read_is_searched_all_the_same(
    session: Session, dataset: Dataset
) -> None:
    make_indexed(session, dataset, "Otters swim.")
    search(session, "otters", [dataset.id])  # the question's vector is in the cache now
    session.refresh(dataset)
    dataset.searched_at = None
    session.flush()
    session.execute(text("SET LOCAL transaction_read_only = on"))

    assert search(session, "otters", [dataset.id])
    assert searched_at(session, dataset) is None
