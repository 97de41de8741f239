"""A dataset changes its model while somebody searches it all the time."""

import dataclasses
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy
import pytest
from sqlalchemy import func, select, update

from taskhub import Hub, Status, app
from taskhub.kb.datasets.models import Dataset, Technique
from taskhub.kb.search import search
from taskhub.kb.segments.models import Segment, SegmentState
from taskhub.kb.tasks import vectors as tasks
from taskhub.kb.tasks.vectors import vector_indexing
from taskhub.kb.vectors import change, embedders
from taskhub.kb.vectors.embed import make
from taskhub.kb.vectors.embedders import HashEmbedder, embedder
from taskhub.kb.vectors.index import put, waiting
from taskhub.kb.vectors.models import Embedding
from taskhub.kb.vectors.rows import UnknownWidth
from taskhub.kb.vectors.store import store
from taskhub.kb.ways_in import vectors as ways_in
from taskhub.queue import Job
from taskhub.settings import Settings
from tests.kb.makers import make_dataset, make_indexed, make_waiting
from tests.kb.vectors.endpoint import WIDTH, Endpoint, answer

TEXTS = [f"The otter number {n} swims in the river." for n in range(150)]


class Letters:
    """How often each letter comes, in 384 numbers."""

    name = "letters"
    width = 384

    def __init__(self) -> None:
        self.asked: list[str] = []

    def embed(self, texts: Sequence[str]) -> Sequence[Any]:
        self.asked += texts
        return [self.vector(text) for text in texts]

    def vector(self, text: str) -> Any:
        return numpy.bincount([ord(c) % self.width for c in text], minlength=self.width)


@pytest.fixture
def letters(monkeypatch: pytest.MonkeyPatch) -> Iterator[Letters]:
    """A second local model, of another width than the first."""
    made = Letters()
    monkeypatch.setitem(embedders.LOCAL, "letters", lambda: made)
    monkeypatch.setattr(tasks, "KEEP_OLD_SECONDS", 0.001)
    monkeypatch.setattr(tasks, "BUILD_SEGMENTS", 16)
    embedders._local.cache_clear()
    yield made
    embedders._local.cache_clear()


@pytest.fixture
def library(settings: Settings, letters: Letters) -> Iterator[Hub]:
    hub = app.build(settings)
    yield hub
    hub.close()


def make_library(hub: Hub, *texts: str, **chosen: Any) -> int:
    with hub.transaction() as session:
        dataset = make_dataset(session, **chosen)
        make_indexed(session, dataset, *texts)
        return dataset.id


def work(hub: Hub) -> None:
    hub.run_worker(wait=False)


def counts(hub: Hub, dataset_id: int) -> dict[str, int]:
    with hub.transaction() as session:
        return {
            name: store(session).count(session, dataset_id, name) for name in ("hash", "letters")
        }


def look(hub: Hub, dataset_id: int) -> tuple[str, str | None, Technique]:
    with hub.transaction() as session:
        dataset = session.get_one(Dataset, dataset_id)
        return dataset.embedding_model, dataset.next_model, dataset.technique


def found(hub: Hub, dataset_id: int, question: str = TEXTS[7]) -> list[str]:
    with hub.transaction() as session:
        return [hit.text for hit in search(session, question, [dataset_id], mode="vector")]


def test_a_searcher_finds_the_best_passage_at_every_moment_of_a_change(library: Hub) -> None:
    dataset_id = make_library(library, *TEXTS)
    seen: list[tuple[str, list[str]]] = []
    is_over = threading.Event()

    def searching() -> None:
        while not is_over.is_set():
            model = look(library, dataset_id)[0]
            seen.append((model, found(library, dataset_id)))

    searcher = threading.Thread(target=searching)
    searcher.start()
    try:
        ways_in.change_model(library, dataset_id, "letters")
        work(library)
        work(library)  # the removal is deferred for later
        after = len(seen) + 3
        while len(seen) < after:
            is_over.wait(0.01)
    finally:
        is_over.set()
        searcher.join()

    assert {model for model, _ in seen} == {"hash", "letters"}
    assert [texts for _, texts in seen if not texts or texts[0] != TEXTS[7]] == []
    assert counts(library, dataset_id) == {"hash": 0, "letters": len(TEXTS)}


def test_what_was_built_before_a_kill_is_not_built_again(
    library: Hub, letters: Letters, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset_id = make_library(library, *TEXTS)

    def dies(texts: Sequence[str]) -> Sequence[Any]:
        if len(letters.asked) >= 64:
            raise SystemError("the power is off")
        return Letters.embed(letters, texts)

    monkeypatch.setattr(letters, "embed", dies)
    ways_in.change_model(library, dataset_id, "letters")
    work(library)
    assert counts(library, dataset_id) == {"hash": len(TEXTS), "letters": 64}
    assert look(library, dataset_id)[:2] == ("hash", "letters")

    monkeypatch.undo()
    monkeypatch.setitem(embedders.LOCAL, "letters", lambda: letters)
    vector_indexing.options(autocommit=True).defer(dataset_id)
    with library.transaction() as session:
        change.begin_round(session, dataset_id, letters)
    work(library)

    assert look(library, dataset_id)[:2] == ("letters", None)
    assert sorted(letters.asked) == sorted(TEXTS)


def test_running_the_task_again_after_the_change_does_nothing(
    library: Hub, letters: Letters
) -> None:
    dataset_id = make_library(library, *TEXTS[:5])
    ways_in.change_model(library, dataset_id, "letters")
    work(library)
    before = list(letters.asked)

    job = vector_indexing.options(autocommit=True).defer(dataset_id)
    work(library)

    assert job.result(timeout=5) == {"superseded": 1}
    assert letters.asked == before


def test_a_later_wish_takes_the_place_of_an_earlier_one(library: Hub) -> None:
    dataset_id = make_library(library, *TEXTS[:5])

    ways_in.change_model(library, dataset_id, "letters")
    ways_in.change_model(library, dataset_id, "hash")
    work(library)
    work(library)

    assert look(library, dataset_id)[:2] == ("hash", None)
    assert counts(library, dataset_id) == {"hash": 5, "letters": 0}


def test_a_segment_that_was_indexed_during_the_change_is_found_by_the_new_model(
    library: Hub, letters: Letters, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset_id = make_library(library, *TEXTS[:40])
    new = "A badger digs."

    def one_more(texts: Sequence[str]) -> Sequence[Any]:
        if not letters.asked:
            with library.transaction() as session:
                make_indexed(session, session.get_one(Dataset, dataset_id), new)
        return Letters.embed(letters, texts)

    monkeypatch.setattr(letters, "embed", one_more)
    ways_in.change_model(library, dataset_id, "letters")
    work(library)

    assert look(library, dataset_id)[0] == "letters"
    assert found(library, dataset_id, new)[0] == new


def test_a_batch_that_was_embedded_before_the_switch_is_put_with_the_new_model(
    library: Hub, letters: Letters
) -> None:
    dataset_id = make_library(library, *TEXTS[:5])
    model = embedder("hash")
    with library.transaction() as session:
        document = make_waiting(session, session.get_one(Dataset, dataset_id), "late otter")
        batch = waiting(session, document.id, model)
        assert batch is not None
    made = make(batch.missing, model)

    ways_in.change_model(library, dataset_id, "letters")
    work(library)
    with library.transaction() as session:
        put(session, batch, made, model)

    assert counts(library, dataset_id)["letters"] == 6


def test_a_text_that_changes_during_the_build_has_no_vector_of_what_it_was(
    library: Hub, letters: Letters
) -> None:
    dataset_id = make_library(library, "old words")
    with library.transaction() as session:
        change.begin(session, dataset_id, letters)
    with library.transaction() as session:
        batch = change.lacking(session, dataset_id, letters, limit=10)
        assert batch is not None
    made = make(batch.missing, letters)
    with library.transaction() as session:
        session.execute(
            update(Segment)
            .where(Segment.dataset_id == dataset_id)
            .values(text="new words", sha256="another")
        )

    with library.transaction() as session:
        change.put_beside(session, dataset_id, batch, made, letters)
    with pytest.raises(change.NotYet), library.transaction() as session:
        change.switch(session, dataset_id, letters)

    assert counts(library, dataset_id) == {"hash": 1, "letters": 0}


def test_a_segment_without_a_vector_of_the_new_model_is_named_and_the_others_change(
    library: Hub, letters: Letters, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset_id = make_library(library, *TEXTS[:40])
    nothing = [float("nan")] * letters.width
    monkeypatch.setattr(
        letters, "vector", lambda t: nothing if t == TEXTS[3] else Letters.vector(letters, t)
    )

    job_id = ways_in.change_model(library, dataset_id, "letters")
    work(library)

    job: Job[Any] = Job(job_id, "vector_indexing", library)
    assert job.result(timeout=5) == {"segments": 40, "left_out": 1}
    with library.transaction() as session:
        bad = session.scalars(select(Segment).where(Segment.state == SegmentState.ERROR)).all()
        assert [(s.text, s.error) for s in bad] == [
            (TEXTS[3], "letters gave a vector with NaN or infinity in it")
        ]
    answers = found(library, dataset_id, TEXTS[4])
    assert answers[0] == TEXTS[4]
    assert TEXTS[3] not in answers


def test_a_model_that_can_embed_it_finds_what_the_old_one_left_out(library: Hub) -> None:
    class Forgetful(HashEmbedder):
        def _vector(self, text: str) -> Any:
            return [0.0] * 512 if "badger" in text else super()._vector(text)

    with library.transaction() as session:
        dataset = make_dataset(session)
        make_indexed(session, dataset, "an otter", "a badger", model=Forgetful())
        dataset_id = dataset.id

    ways_in.change_model(library, dataset_id, "letters")
    work(library)

    assert found(library, dataset_id, "a badger")[0] == "a badger"


def test_building_anew_asks_the_model_again_and_replaces_what_it_said(
    library: Hub, letters: Letters, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset_id = make_library(library, *TEXTS[:40], embedding_model="letters")
    letters.asked.clear()
    monkeypatch.setattr(letters, "vector", lambda t: -Letters.vector(letters, t))

    ways_in.change_model(library, dataset_id, "letters")
    work(library)

    assert sorted(letters.asked) == sorted(TEXTS[:40])
    assert look(library, dataset_id)[:2] == ("letters", None)
    with library.transaction() as session:
        assert store(session).count(session, dataset_id, "letters") == 40
        kept = session.scalars(select(Embedding.vector).where(Embedding.model == "letters")).all()
    assert all(min(vector) < 0 for vector in kept)


def test_words_alone_and_back_again(library: Hub) -> None:
    dataset_id = make_library(library, *TEXTS[:40])

    ways_in.search_by_words(library, dataset_id)
    work(library)
    assert look(library, dataset_id)[2] is Technique.ECONOMY
    assert counts(library, dataset_id) == {"hash": 0, "letters": 0}
    assert found(library, dataset_id) != []

    ways_in.change_model(library, dataset_id, "letters")
    work(library)
    assert look(library, dataset_id) == ("letters", None, Technique.HIGH_QUALITY)
    assert counts(library, dataset_id) == {"hash": 0, "letters": 40}


def test_a_dataset_that_is_deleted_meanwhile_ends_the_build(library: Hub) -> None:
    dataset_id = make_library(library, *TEXTS[:5])
    job_id = ways_in.change_model(library, dataset_id, "letters")
    with library.transaction() as session:
        session.get_one(Dataset, dataset_id).deleted_at = session.scalar(select(func.now()))

    work(library)

    job: Job[Any] = Job(job_id, "vector_indexing", library)
    assert job.result(timeout=5) == {"superseded": 1}


@pytest.mark.usefixtures("pgvector")
def test_a_model_of_a_width_without_a_table_is_refused_before_anything_changes(
    library: Hub, letters: Letters
) -> None:
    dataset_id = make_library(library, *TEXTS[:5])
    letters.width = 100

    with pytest.raises(UnknownWidth, match="384, 512, 768, 1024, 1536, 3072, got 100 of letters"):
        ways_in.change_model(library, dataset_id, "letters")

    assert look(library, dataset_id)[:2] == ("hash", None)


def test_the_plan_counts_what_is_to_be_embedded_and_removed(library: Hub, letters: Letters) -> None:
    dataset_id = make_library(library, "one", "one", "two")
    make_library(library, "two", embedding_model="letters")

    with library.transaction() as session:
        plan = change.plan(session, dataset_id, letters)
        by_words = change.plan(session, dataset_id, None)

    assert (plan.segments, plan.to_embed, plan.to_remove) == (3, 1, 3)
    assert (by_words.to_embed, by_words.to_remove) == (0, 3)


# By an endpoint


@pytest.fixture
def far(settings: Settings, endpoint: Endpoint) -> Iterator[Hub]:
    """A hub whose model `far` is an endpoint's."""
    hub = app.build(dataclasses.replace(settings, embedding_url=endpoint.url, embedding_batch=8))
    yield hub
    hub.close()


def worked_until(hub: Hub, is_over: Callable[[], bool]) -> None:
    """Run workers, each until nothing is ready, until it is over."""
    for _ in range(200):
        work(hub)
        if is_over():
            return
    raise AssertionError("it was not over after 200 rounds")


def test_an_endpoint_gets_one_request_a_job_and_a_429_costs_no_attempt(
    far: Hub, endpoint: Endpoint
) -> None:
    dataset_id = make_library(far, *TEXTS[:20])
    slow = {"Retry-After": "0.3"}
    endpoint.scripts = [answer, answer, lambda _: (429, slow, {"error": "slow down"})]

    ways_in.change_model(far, dataset_id, "far")
    worked_until(far, lambda: look(far, dataset_id)[0] == "far")

    # The first one asked for the width; the third was told to come again.
    assert [len(texts) for texts in endpoint.asked] == [1, 8, 8, 8, 4]
    with far.engine.connect() as connection:
        rows = connection.exec_driver_sql(
            "SELECT max(attempt) FROM taskhub.attempts WHERE task_name = 'vector_indexing'"
        )
        assert rows.scalar() == 1
    with far.transaction() as session:
        assert store(session).count(session, dataset_id, "far") == 20
    limits = {limit.name: limit for limit in far.limits()}
    assert limits["embedding:far"].at_most == far.settings.embedding_at_once


def test_an_endpoint_that_refuses_for_good_ends_the_job_with_its_words(
    far: Hub, endpoint: Endpoint
) -> None:
    dataset_id = make_library(far, *TEXTS[:20])
    ways_in.change_model(far, dataset_id, "far")
    endpoint.always = lambda _: (401, {}, {"error": "no such key"})

    worked_until(far, lambda: bool(failed_jobs(far)))

    [job_id] = failed_jobs(far)
    job: Job[Any] = Job(job_id, "vector_indexing", far)
    assert job.status() is Status.FAILED
    assert look(far, dataset_id)[:2] == ("hash", "far")
    assert found(far, dataset_id)[0] == TEXTS[7]


def failed_jobs(hub: Hub) -> list[int]:
    with hub.engine.connect() as connection:
        rows = connection.exec_driver_sql(
            "SELECT id FROM taskhub.procrastinate_jobs WHERE status = 'failed'"
        )
        return [row.id for row in rows]


def test_the_rates_of_the_settings_are_the_limits_and_what_was_used_is_settled(
    settings: Settings, endpoint: Endpoint
) -> None:
    rated = dataclasses.replace(
        settings,
        embedding_url=endpoint.url,
        embedding_dimensions=WIDTH,
        embedding_batch=8,
        embedding_requests_per_minute=60,
        embedding_tokens_per_minute=60_000,
    )
    hub = app.build(rated)
    endpoint.always = lambda texts: answer(texts, usage={"total_tokens": 1200})
    try:
        dataset_id = make_library(hub, *TEXTS[:8])
        ways_in.change_model(hub, dataset_id, "far")
        worked_until(hub, lambda: look(hub, dataset_id)[0] == "far")
        [limit] = [limit for limit in hub.limits() if limit.name == "embedding:far"]
    finally:
        hub.close()

    assert limit.per_second == 1000
    # A second's tokens were there; the request reserved 1,000 at least and took 1,200.
    assert limit.tokens is not None
    assert limit.tokens < 1000
