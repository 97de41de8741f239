"""A small text becomes findable in one transaction, if nothing has changed since it was read."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Update, func, select, update

from taskhub import Hub, app
from taskhub.accounts.tenants import ensure
from taskhub.kb.datasets import create
from taskhub.kb.datasets.models import Dataset, Technique
from taskhub.kb.documents import state
from taskhub.kb.documents.models import Document
from taskhub.kb.documents.state import Condition
from taskhub.kb.segments.models import Segment, SegmentState
from taskhub.kb.segments.rules import ProcessRule
from taskhub.kb.tasks import whole
from taskhub.kb.vectors.embedders import HashEmbedder
from taskhub.kb.vectors.store import store
from taskhub.kb.ways_in import documents
from taskhub.queue import actions
from taskhub.queue.context import running
from taskhub.settings import Settings
from tests.waiting import until

TEXT = "".join(f"Shelf {n} of the cellar holds the jars of year {1900 + n}.\n" for n in range(40))
RULE = ProcessRule(tokens=60, overlap_tokens=0)
OTHER_RULE = ProcessRule(tokens=120, overlap_tokens=0)


@pytest.fixture
def library(settings: Settings) -> Iterator[Hub]:
    hub = app.build(settings)
    yield hub
    hub.close()


@pytest.fixture
def document_id(library: Hub, tmp_path: Path) -> int:
    with library.transaction() as session:
        tenant_id = ensure(session, "test").id
        dataset_id = create.create(
            session, tenant_id, "house", embedding_model="hash", rule=RULE
        ).id
    path = tmp_path / "a.txt"
    path.write_text(TEXT)
    return documents.add_document(library, dataset_id, path)


def while_embedding(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> list[int]:
    """Act once when the model is called first; how many texts each call had."""
    calls: list[int] = []
    real = HashEmbedder.embed

    def embed(model: HashEmbedder, texts: list[str]) -> object:
        calls.append(len(texts))
        if len(calls) == 1:
            act()
        return real(model, texts)

    monkeypatch.setattr(HashEmbedder, "embed", embed)
    return calls


def status(hub: Hub, document_id: int) -> state.DocumentStatus:
    with hub.transaction() as session:
        return state.status(session, document_id)


def counts(hub: Hub) -> tuple[int, int, int]:
    """Segments, those of them that can be found, and vectors."""
    with hub.transaction() as session:
        total = session.scalar(select(func.count()).select_from(Segment)) or 0
        done = select(func.count()).where(Segment.state == SegmentState.COMPLETED)
        found = session.scalar(done) or 0
        dataset_id = session.scalar(select(Dataset.id))
        vectors = 0 if dataset_id is None else store(session).count(session, dataset_id, "hash")
    return total, found, vectors


def test_every_stage_segment_and_vector_is_there_after_one_call_of_the_model(
    library: Hub, document_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = while_embedding(monkeypatch, lambda: None)

    library.run_worker(wait=False)

    ended = status(library, document_id)
    total, found, vectors = counts(library)
    assert ended.condition is Condition.COMPLETED
    assert total == found == vectors == ended.segments_total == ended.segments_done > 1
    assert calls == [total]
    with library.transaction() as session:
        row = session.get_one(Document, document_id)
        times = [row.parsing_at, row.cleaning_at, row.splitting_at, row.indexing_at]
        assert sorted(filter(None, times)) == times
        assert row.characters == len(TEXT)
        assert row.indexed_sha256 == row.sha256
    assert documents.index_again(library, document_id) is None


def test_a_pause_meanwhile_leaves_nothing_of_it(
    library: Hub, document_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    while_embedding(monkeypatch, lambda: documents.pause_document(library, document_id))

    library.run_worker(wait=False)
    paused, written = status(library, document_id), counts(library)
    documents.resume_document(library, document_id)
    library.run_worker(wait=False)

    assert (paused.condition, written) == (Condition.PAUSED, (0, 0, 0))
    assert status(library, document_id).condition is Condition.COMPLETED
    assert len(set(counts(library))) == 1


def changed(hub: Hub, statement: Update) -> Callable[[], None]:
    def act() -> None:
        with hub.engine.begin() as connection:
            connection.execute(statement)

    return act


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        (update(Dataset).values(process_rule=OTHER_RULE.stored()), "half"),
        (update(Document).values(process_rule=OTHER_RULE.stored()), "half"),
        (update(Dataset).values(technique=Technique.ECONOMY), "no vectors"),
    ],
)
def test_what_was_changed_meanwhile_is_what_it_is_made_by(
    library: Hub,
    document_id: int,
    monkeypatch: pytest.MonkeyPatch,
    statement: Update,
    expected: str,
) -> None:
    calls = while_embedding(monkeypatch, changed(library, statement))

    library.run_worker(wait=False)

    total, found, vectors = counts(library)
    assert status(library, document_id).condition is Condition.COMPLETED
    if expected == "half":
        assert total == found == vectors < calls[0]
    else:
        assert (total, found, vectors) == (calls[0], calls[0], 0)


def test_a_document_that_is_deleted_meanwhile_gets_no_segments(
    library: Hub, document_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    while_embedding(monkeypatch, changed(library, update(Document).values(deleted_at=func.now())))

    library.run_worker(wait=False)

    assert counts(library) == (0, 0, 0)


def test_a_job_that_is_asked_to_stop_meanwhile_writes_nothing(
    library: Hub, document_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = status(library, document_id).job_id
    assert job_id is not None

    def stop() -> None:
        # The worker hears of it within its next tick; the task looks when the model has answered.
        context = running.get()
        assert context is not None
        actions.cancel(library, [job_id])
        until(lambda: context.cancelled, "the worker to hear of it")

    while_embedding(monkeypatch, stop)
    library.run_worker(wait=False)

    assert counts(library) == (0, 0, 0)
    assert status(library, document_id).condition is Condition.CANCELLED


def test_a_text_with_more_segments_than_fit_goes_the_long_way(
    library: Hub, document_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whole, "WHOLE_SEGMENTS", 3)
    calls = while_embedding(monkeypatch, lambda: None)

    library.run_worker(wait=False)

    assert status(library, document_id).condition is Condition.COMPLETED
    assert sum(calls) == counts(library)[2] > 3


def test_a_text_without_a_vector_is_left_out_and_the_rest_is_found(
    library: Hub, document_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = HashEmbedder._vector

    def vector(model: HashEmbedder, text: str) -> object:
        found = real(model, text)
        return found * float("nan") if "shelf 20 " in text else found

    monkeypatch.setattr(HashEmbedder, "_vector", vector)

    library.run_worker(wait=False)

    total, found, vectors = counts(library)
    assert total - 1 == found == vectors
    assert status(library, document_id).error_kind == "segments_left_out"
