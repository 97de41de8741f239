"""A dataset's documents as a screen lists them."""

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from taskhub.kb.datasets.models import Dataset
from taskhub.kb.documents import listing
from taskhub.kb.documents.add import add
from taskhub.kb.documents.failures import UnknownDocument
from taskhub.kb.documents.models import Document
from taskhub.kb.documents.state import Condition
from tests.kb.documents.test_state import make_job
from tests.kb.makers import make_indexed


def failed(session: Session, dataset: Dataset) -> int:
    document = add(session, dataset, name="failed.txt", content=b"x")
    document.job_id = make_job(session, "failed")
    session.flush()
    return document.id


def test_a_document_is_listed_with_where_it_stands(session: Session, dataset: Dataset) -> None:
    document = make_indexed(session, dataset, "one", "two")

    [found] = listing.page(session, dataset.id).documents

    assert (found.document_id, found.condition) == (document.id, Condition.COMPLETED)
    assert (found.segments_done, found.segments_total, found.enabled) == (2, 2, True)
    assert found == listing.one(session, document.id)


def test_pages_hold_each_document_once(session: Session, dataset: Dataset) -> None:
    made = [add(session, dataset, name=f"{n}.txt", content=b"x").id for n in range(5)]

    met, after_id, pages = [], 0, 0
    while True:
        page = listing.page(session, dataset.id, after_id=after_id, limit=2)
        met += [line.document_id for line in page.documents]
        pages += 1
        if page.after_id is None:
            break
        after_id = page.after_id

    assert met == made
    assert pages == 3


def test_a_condition_is_looked_for_among_so_many_documents_a_page(
    session: Session, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "LOOK_DOCUMENTS", 3)
    for n in range(4):
        add(session, dataset, name=f"{n}.txt", content=b"x")
    wanted = failed(session, dataset)

    first = listing.page(session, dataset.id, conditions=[Condition.FAILED])
    assert first.documents == []
    assert first.after_id is not None
    second = listing.page(
        session, dataset.id, conditions=[Condition.FAILED], after_id=first.after_id
    )

    assert [line.document_id for line in second.documents] == [wanted]
    assert second.after_id is None


def test_of_a_condition_no_document_is_passed_over(session: Session, dataset: Dataset) -> None:
    made = [failed(session, dataset) for _ in range(3)]

    first = listing.page(session, dataset.id, conditions=[Condition.FAILED], limit=2)
    assert first.after_id is not None
    second = listing.page(
        session, dataset.id, conditions=[Condition.FAILED], after_id=first.after_id, limit=2
    )

    assert [line.document_id for line in first.documents + second.documents] == made


def test_what_is_built_or_going_is_not_listed(session: Session, dataset: Dataset) -> None:
    document = add(session, dataset, name="kept.txt", content=b"x")
    belongs = {"dataset_id": dataset.id, "tenant_id": dataset.tenant_id}
    session.add(Document(**belongs, name="version", replaces_id=document.id))
    session.add(Document(**belongs, name="gone", deleted_at=text("now()")))
    session.flush()

    found = listing.page(session, dataset.id)

    assert [line.name for line in found.documents] == ["kept.txt"]
    with pytest.raises(UnknownDocument):
        listing.one(session, document.id + 2)
