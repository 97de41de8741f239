"""Datasets, and apps, as a screen lists them."""

import pytest
from sqlalchemy.orm import Session

from taskhub.kb.apps import listing as apps
from taskhub.kb.cleaning import hide
from taskhub.kb.datasets import listing
from taskhub.kb.documents.add import add
from taskhub.kb.documents.models import Document
from tests.kb.makers import make_app, make_dataset


def test_a_dataset_is_listed_with_its_documents(session: Session) -> None:
    dataset = make_dataset(session)
    first = add(session, dataset, name="a.txt", content=b"a")
    session.add(
        Document(
            dataset_id=dataset.id, tenant_id=dataset.tenant_id, name="a.txt", replaces_id=first.id
        )
    )
    session.flush()

    [found] = listing.page(session, after_id=dataset.id - 1)

    assert (found.name, found.documents, found.embedding_model) == (dataset.name, 1, "hash")


def test_more_documents_than_a_screen_needs_are_not_counted(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "MOST_COUNTED", 2)
    dataset = make_dataset(session)
    for name in ("a", "b", "c"):
        add(session, dataset, name=name, content=b"a")

    assert listing.page(session, after_id=dataset.id - 1)[0].documents == 2


def test_pages_of_datasets_hold_each_once_and_none_that_goes(session: Session) -> None:
    made = [make_dataset(session).id for _ in range(4)]
    hide.hide_dataset(session, made[1])

    first = listing.page(session, after_id=made[0] - 1, limit=2)
    second = listing.page(session, after_id=first[-1].dataset_id, limit=2)

    assert [line.dataset_id for line in (*first, *second)] == [made[0], made[2], made[3]]


def test_an_app_is_listed_with_what_it_answers_by(session: Session) -> None:
    app = make_app(session, annotations=3)

    [found] = apps.page(session, after_id=app.id - 1)

    assert (found.name, found.annotations, found.answers) == (app.name, 3, False)
    assert found.score_threshold is None
