from importlib import import_module
from random import Random
from typing import Any
from unittest.mock import Mock

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from taskhub.kb.datasets.models import Dataset, Technique
from taskhub.kb.documents.models import Document, DocumentState
from taskhub.kb.search import Mode, SearchTimeout, scope, search
from taskhub.kb.segments.models import Segment, SegmentState
from taskhub.kb.vectors import indexed
from taskhub.kb.vectors.embedders import HashEmbedder
from taskhub.kb.vectors.failures import EndpointBusy, EndpointFailed
from taskhub.kb.vectors.models import Embedding
from taskhub.kb.vectors.store import store
from tests.kb.makers import make_dataset, make_indexed

# Whether each findable segment is looked at, each vector of the datasets, or the index is asked: the
# answer must be the same.
WAYS = pytest.mark.parametrize("way", ["each", "dataset", "index"], indirect=True)

OTTERS = "Otters swim in the river and eat fish."
BADGERS = "Badgers dig setts under the old oak."
CHINESE = "水獭在河里游泳，吃鱼。"


@pytest.fixture
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless it is "each", no scope is small; with "index" no dataset is, either."""
    if request.param != "each":
        monkeypatch.setattr(scope, "SMALL", -1)
        monkeypatch.setattr(scope, "SMALL_OF_DOCUMENTS", -1)
    if request.param == "index":
        monkeypatch.setattr(indexed, "COMPARED_NUMBERS", -1)


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


def test_an_english_word_is_found_in_its_other_forms(session: Session, dataset: Dataset) -> None:
    make_indexed(session, dataset, OTTERS, BADGERS)

    hits = search(session, "one otter swimming", [dataset.id], mode="text")

    assert [hit.text for hit in hits] == [OTTERS]


def test_a_rare_word_counts_more_than_two_common_ones(session: Session, dataset: Dataset) -> None:
    common = [f"The river has fish, and number {n} is written here." for n in range(30)]
    make_indexed(session, dataset, *common, "A setts expert writes of other things entirely.")

    hits = search(session, "fish river setts", [dataset.id], mode="text")

    assert hits[0].text.startswith("A setts expert")


def test_a_question_that_shares_one_word_keeps_the_order_of_the_vectors(
    session: Session, dataset: Dataset
) -> None:
    noise = "7 and nothing else, said at great length so that it looks like no other text at all."
    make_indexed(session, dataset, noise, BADGERS, CHINESE, OTTERS)
    question = "7 otterlike swimmers riverwards fisheating"

    by_vector = [hit.text for hit in search(session, question, [dataset.id], mode="vector")]
    by_words = [hit.text for hit in search(session, question, [dataset.id], mode="text")]
    by_both = [hit.text for hit in search(session, question, [dataset.id], mode="hybrid")]

    assert (by_words, by_vector[0]) == ([noise], OTTERS)
    assert by_both[0] == OTTERS


HOSTILE = [
    "' | \\ & !",
    "otters' & (",
    "fish <-> \\'",
    "a:* b",
    "\0fish\0",
    "fish \ud800",
    "'; DROP TABLE taskhub_kb.segments; --",
    "%s %(x)s {0} $1",
    "fish\u202e\u200b",
    "\x1b[31m",
    "x" * 10_000,
    "fish " * 2_000,
    " ".join(f"word{n}" for n in range(1_000)),
    "的" * 10_000,
]


@WAYS
@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("question", HOSTILE, ids=lambda question: ascii(question[:20]))
def test_no_question_is_an_error_of_the_query_language(
    session: Session, dataset: Dataset, question: str
) -> None:
    make_indexed(session, dataset, OTTERS)

    hits = search(session, question, [dataset.id], mode="hybrid")
    by_words = search(session, question, [dataset.id], mode="text")

    assert [hit.text for hit in hits] == [OTTERS]
    assert len(by_words) == ("fish" in question or "otters" in question)


@WAYS
@pytest.mark.usefixtures("way")
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
    assert count_vectors(session, economy) == 0


def count_vectors(session: Session, dataset: Dataset) -> int:
    return store(session).count(session, dataset.id, dataset.embedding_model)


@WAYS
@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("most_documents", [0, 100], ids=["by metadata", "by ids"])
def test_a_search_can_be_narrowed_to_what_is_said_of_documents(
    session: Session,
    dataset: Dataset,
    mode: Mode,
    most_documents: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(scope, "MOST_DOCUMENTS", most_documents)
    documents = [make_indexed(session, dataset, f"{OTTERS} {n}") for n in range(3)]
    documents[0].details = {"year": 2024, "tags": ["river", "fish"], "by": {"team": "otter"}}
    documents[1].details = {"year": 2025, "tags": ["river"]}
    session.flush()

    def found(**narrowed: Any) -> set[int]:
        hits = search(session, OTTERS, [dataset.id], mode=mode, **narrowed)
        return {documents.index(session.get_one(Document, hit.document_id)) for hit in hits}

    assert found(metadata={"year": 2024}) == {0}
    assert found(metadata={"tags": ["river"]}) == {0, 1}
    assert found(metadata={"by": {"team": "otter"}}) == {0}
    assert found(metadata={"year": "2024"}) == set()
    assert found(metadata={}) == {0, 1, 2}
    assert found(document_ids=[documents[1].id, documents[2].id]) == {1, 2}
    assert found(document_ids=[documents[1].id], metadata={"year": 2024}) == set()
    assert found(document_ids=[]) == set()


def test_a_tenant_finds_nothing_in_the_datasets_of_another(
    session: Session, dataset: Dataset
) -> None:
    other = make_dataset(session)
    for each in (dataset, other):
        make_indexed(session, each, OTTERS)

    hits = search(session, OTTERS, [dataset.id, other.id], tenant_id=dataset.tenant_id)

    assert len(hits) == 1
    assert session.get_one(Document, hits[0].document_id).tenant_id == dataset.tenant_id


@WAYS
@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.usefixtures("way")
def test_many_pages_hold_what_one_large_page_holds(
    session: Session, dataset: Dataset, mode: Mode
) -> None:
    # Words and meaning order these differently, and no order is that of the ids.
    drawn = Random(7)  # noqa: S311 - texts, no secrets
    known = [*OTTERS.split(), *BADGERS.split(), "invoice", "lake", "night"]
    texts = (" ".join(drawn.choices(known, k=drawn.randrange(4, 30))) for _ in range(260))
    make_indexed(session, dataset, *texts)

    whole = search(session, OTTERS, [dataset.id], mode=mode, limit=250)
    pages = [
        hit
        for offset in range(0, 250, 25)
        for hit in search(session, OTTERS, [dataset.id], mode=mode, limit=25, offset=offset)
    ]

    assert [hit.segment_id for hit in pages] == [hit.segment_id for hit in whole]
    assert len({hit.segment_id for hit in pages}) == len(pages) >= 200
    assert [hit.score for hit in whole] == sorted((hit.score for hit in whole), reverse=True)


@pytest.mark.parametrize("mode", list(Mode))
def test_pages_follow_each_other_without_a_gap(
    session: Session, dataset: Dataset, mode: Mode
) -> None:
    make_indexed(session, dataset, *(f"{OTTERS} {n} {n * n}" for n in range(12)))

    whole = search(session, OTTERS, [dataset.id], mode=mode, limit=12)
    pages = [
        hit
        for offset in (0, 5, 10)
        for hit in search(session, OTTERS, [dataset.id], mode=mode, limit=5, offset=offset)
    ]

    assert len(whole) == 12
    assert [hit.segment_id for hit in pages] == [hit.segment_id for hit in whole]
    assert search(session, OTTERS, [dataset.id], mode=mode, offset=12) == []


@WAYS
@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("mode", list(Mode))
def test_one_passage_is_found_behind_many_that_are_switched_off(
    session: Session, dataset: Dataset, mode: Mode
) -> None:
    document = make_indexed(session, dataset, *(f"{OTTERS} {n}" for n in range(150)))
    shown = make_indexed(session, dataset, "Otters are fish eaters, and much else besides.")
    document.enabled = False
    session.flush()

    hits = search(session, OTTERS, [dataset.id], mode=mode, limit=3)

    assert [hit.document_id for hit in hits] == [shown.id]


@pytest.mark.parametrize("mode", list(Mode))
def test_what_fits_in_nothing_finds_nothing(session: Session, dataset: Dataset, mode: Mode) -> None:
    assert search(session, OTTERS, [dataset.id], mode=mode) == []
    assert search(session, OTTERS, [], mode=mode) == []
    assert search(session, OTTERS, [2**40], mode=mode) == []


def test_what_the_caller_has_not_flushed_counts_and_stays(
    session: Session, dataset: Dataset
) -> None:
    document = make_indexed(session, dataset, OTTERS)
    document.archived = True

    assert search(session, OTTERS, [dataset.id]) == []
    session.expire(document)
    assert document.archived is True


@WAYS
@pytest.mark.usefixtures("way")
def test_a_search_leaves_no_option_and_no_row_behind(session: Session, dataset: Dataset) -> None:
    make_indexed(session, dataset, OTTERS)
    options = select(
        func.current_setting("statement_timeout"),
        func.current_setting("hnsw.ef_search", True),
        func.current_setting("hnsw.iterative_scan", True),
    )
    before = session.execute(options).one(), session.scalar(select(func.count(Embedding.sha256)))

    search(session, "a question nobody asked before", [dataset.id])

    after = session.execute(options).one(), session.scalar(select(func.count(Embedding.sha256)))
    assert after == before


def test_a_search_that_takes_too_long_ends_and_leaves_the_transaction_usable(
    session: Session,
) -> None:
    bind = session.get_bind()
    with bind.engine.connect() as other, other.begin():
        other.execute(text("LOCK TABLE taskhub_kb.datasets IN ACCESS EXCLUSIVE MODE"))

        with pytest.raises(SearchTimeout, match="search took longer than"):
            search(session, OTTERS, [1], timeout_seconds=0.05)

        assert session.scalar(select(1)) == 1


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
        def _vector(self, text: str) -> list[float]:
            return [float("nan")] * 512 if "badgers" in text else super()._vector(text)

    document = make_indexed(session, dataset, OTTERS, BADGERS, CHINESE, model=Forgetful())

    assert document.state is DocumentState.COMPLETED
    assert document.error == (
        "1 of 3 segments left out: hash gave a vector with NaN or infinity in it"
    )
    assert count_vectors(session, dataset) == 2


@pytest.mark.parametrize(
    ("question", "limit", "mode", "message"),
    [
        (" ", 5, "vector", "question must not be empty"),
        ("otters", 0, "vector", "limit must be 1 or more.* got limit 0 and"),
        ("x" * 10_001, 5, "text", "question must be at most 10000 characters long, got 10001"),
        ("otters", 1001, "text", "both together at most 1000, got limit 1001 and offset 0"),
        ("otters", 5, "magic", "mode must be one of vector, text, hybrid, got 'magic'"),
    ],
)
def test_what_cannot_be_searched_is_refused(
    session: Session, question: str, limit: int, mode: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        search(session, question, [1], limit=limit, mode=mode)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"offset": -1}, "offset 0 or more"),
        ({"limit": 5, "offset": 996}, "got limit 5 and offset 996"),
        ({"timeout_seconds": 0}, "timeout_seconds must be above 0, got 0"),
        ({"metadata": {"a": object()}}, "metadata must be a JSON object"),
        ({"metadata": {"a": float("nan")}}, "metadata must be a JSON object"),
        ({"metadata": {"a": "\0"}}, "metadata must hold no NUL"),
        ({"metadata": {"a": "\ud800"}}, "metadata must be a JSON object"),
    ],
)
def test_what_cannot_narrow_a_search_is_refused(
    session: Session, given: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        search(session, OTTERS, [1], **given)


@pytest.mark.parametrize("failure", [EndpointBusy("429", 3.0), EndpointFailed("no connection")])
def test_while_a_model_cannot_answer_hybrid_goes_by_words_and_says_so(
    session: Session,
    dataset: Dataset,
    failure: Exception,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    make_indexed(session, dataset, OTTERS, BADGERS)
    away = HashEmbedder()
    monkeypatch.setattr(away, "embed", Mock(side_effect=failure))
    # By its name in full: the package's own `search` is the function.
    monkeypatch.setattr(import_module("taskhub.kb.search.ranking"), "embedder", lambda *_: away)

    hits = search(session, "an otter", [dataset.id], mode="hybrid")

    assert [hit.text for hit in hits] == [OTTERS]
    assert "search by words alone" in caplog.messages
    with pytest.raises(type(failure)):
        search(session, "an otter", [dataset.id], mode="vector")
