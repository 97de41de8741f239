import pytest
from sqlalchemy.orm import Session

from taskhub.kb.datasets.models import Dataset
from taskhub.kb.documents.describe import describe
from taskhub.kb.documents.failures import UnknownDocument
from taskhub.kb.search import search
from tests.kb.makers import make_indexed


def test_what_is_said_of_a_document_adds_up(session: Session, dataset: Dataset) -> None:
    document = make_indexed(session, dataset, "Otters swim.")

    describe(session, document.id, {"year": 2024, "team": "care"})
    told = describe(session, document.id, {"year": 2025, "tags": ["river"]})

    assert told == {"year": 2025, "team": "care", "tags": ["river"]}
    session.refresh(document)
    assert document.details == told


def test_none_takes_a_key_away(session: Session, dataset: Dataset) -> None:
    document = make_indexed(session, dataset, "Otters swim.")
    describe(session, document.id, {"year": 2024, "team": "care"})

    assert describe(session, document.id, {"team": None, "never there": None}) == {"year": 2024}


def test_it_counts_for_searches_at_once(session: Session, dataset: Dataset) -> None:
    document = make_indexed(session, dataset, "Otters swim.")

    before = search(session, "otters", [dataset.id], metadata={"year": 2024})
    describe(session, document.id, {"year": 2024})
    after = search(session, "otters", [dataset.id], metadata={"year": 2024})

    assert (len(before), len(after)) == (0, 1)


def test_a_document_that_is_not_there_cannot_be_described(session: Session) -> None:
    with pytest.raises(UnknownDocument, match="document 404404 does not exist"):
        describe(session, 404404, {"year": 2024})
