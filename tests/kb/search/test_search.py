from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from taskhub.kb.datasets.models import Dataset, Technique
from taskhub.kb.documents.models import DocumentState
from taskhub.kb.search import Mode, search
from taskhub.kb.segments.models import Segment, SegmentState
from taskhub.kb.vectors.embedders import HashEmbedder
from taskhub.kb.vectors.store import store
from tests.kb.makers import make_dataset, make_indexed

OTTERS = "Otters swim in the river and eat fish."
BADGERS = "Badgers dig setts under the old oak."
CHINESE = "水獭在河里游泳，吃鱼。"


@pytest.mark.parametrize("mode", list(Mode))
def test_the_best_passage_comes_first_with_its_place_and_score(
    session: Session, dataset: Dataset, mode: Mode
) -> None:
    make_indexed(session, dataset, "The invoice is due.", CHINESE)
    animals = make_indexed(session, dataset, BADGERS, OTTERS)

    hits = search(session, "otters in the river", [dataset.id], mode=mode)

    best = hits[0]
    assert (best.document_id, best.document_name) == (animals.id, animals.name)
    assert (best.position, best.text) == (1, OTTERS)
    assert all(0 <= hit.score <= 1 for hit in hits)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


def test_the_very_text_scores_1(session: Session, dataset: Dataset) -> None:
    make_indexed(session, dataset, OTTERS, BADGERS)

    for mode in (Mode.VECTOR, Mode.HYBRID):
        assert search(session, OTTERS, [dataset.id], mode=mode)[0].score == pytest.approx(
            1, abs=1e-5
        )


def test_chinese_is_found_by_its_words(session: Session, dataset: Dataset) -> None:
    make_indexed(session, dataset, OTTERS, CHINESE)

    hits = search(session, "游泳", [dataset.id], mode="text")

    assert [hit.text for hit in hits] == [CHINESE]


@pytest.mark.parametrize("question", ["' | \\ & !", "otters' & (", "fish <-> \\'", "a:* b"])
def test_no_question_is_an_error_of_the_query_language(
    session: Session, dataset: Dataset, question: str
) -> None:
    make_indexed(session, dataset, OTTERS)

    assert len(search(session, question, [dataset.id], mode="hybrid")) <= 1


@pytest.mark.parametrize("mode", list(Mode))
def test_only_what_is_enabled_completed_and_not_archived_is_found(
    session: Session, dataset: Dataset, mode: Mode
) -> None:
    hidden = [make_indexed(session, dataset, OTTERS) for _ in range(5)]
    shown = make_indexed(session, dataset, OTTERS)
    hidden[0].enabled = False
    hidden[1].archived = True
    hidden[2].state = DocumentState.INDEXING
    segments = {
        s.document_id: s for s in session.scalars(select(Segment)) if s.dataset_id == dataset.id
    }
    segments[hidden[3].id].enabled = False
    segments[hidden[4].id].state = SegmentState.WAITING
    session.flush()

    hits = search(session, OTTERS, [dataset.id], mode=mode, limit=10)

    assert [hit.document_id for hit in hits] == [shown.id]


def test_other_datasets_and_those_being_deleted_are_not_searched(
    session: Session, dataset: Dataset
) -> None:
    other, going = make_dataset(session), make_dataset(session)
    for each in (dataset, other, going):
        make_indexed(session, each, OTTERS)
    going.deleted_at = session.scalar(func.now())
    session.flush()

    hits = search(session, OTTERS, [dataset.id, going.id])

    assert len(hits) == 1
    assert search(session, OTTERS, []) == []


def test_a_dataset_of_words_alone_is_found_in_every_mode_and_has_no_vectors(
    session: Session,
) -> None:
    economy = make_dataset(session, technique=Technique.ECONOMY)
    make_indexed(session, economy, OTTERS)

    found = [len(search(session, "otters", [economy.id], mode=mode)) for mode in Mode]

    assert found == [1, 1, 1]
    assert vectors_of(session, economy) == 0


def vectors_of(session: Session, dataset: Dataset) -> int:
    return store(session).count(session, dataset.id, dataset.embedding_model)


def test_a_small_dataset_is_found_beside_a_large_one(session: Session, dataset: Dataset) -> None:
    large = make_dataset(session)
    make_indexed(session, large, *(f"{OTTERS} {n}" for n in range(300)))
    make_indexed(session, dataset, BADGERS)

    hits = search(session, OTTERS, [dataset.id], mode="vector")

    assert [hit.text for hit in hits] == [BADGERS]


def test_a_segment_whose_vector_is_wrong_is_left_out_and_named(
    session: Session, dataset: Dataset
) -> None:
    class Forgetful(HashEmbedder):
        def _vector(self, text: str) -> Any:
            return [float("nan")] * 512 if "badgers" in text else super()._vector(text)

    document = make_indexed(session, dataset, OTTERS, BADGERS, CHINESE, model=Forgetful())

    assert document.state is DocumentState.COMPLETED
    assert document.error == (
        "1 of 3 segments left out: hash gave a vector with NaN or infinity in it"
    )
    assert vectors_of(session, dataset) == 2


@pytest.mark.parametrize(
    ("question", "limit", "mode", "message"),
    [
        (" ", 5, "vector", "question must not be empty"),
        ("otters", 0, "vector", "limit must be 1 or more.* got limit 0 and"),
        ("otters", 5, "magic", "mode must be one of vector, text, hybrid, got 'magic'"),
    ],
)
def test_what_cannot_be_searched_is_refused(
    session: Session, question: str, limit: int, mode: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        search(session, question, [1], limit=limit, mode=mode)
