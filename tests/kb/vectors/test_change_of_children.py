"""A dataset of parents and children changes its model while its segments are edited and added."""

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, text

from taskhub import Hub, app
from taskhub.kb.datasets.models import Dataset
from taskhub.kb.search import search
from taskhub.kb.segments.models import ChildSegment, Segment
from taskhub.kb.segments.rules import Mode, ProcessRule
from taskhub.kb.tasks import vectors as tasks
from taskhub.kb.vectors import embedders
from taskhub.kb.vectors.store import store
from taskhub.kb.ways_in import documents, segments
from taskhub.kb.ways_in import vectors as ways_in
from taskhub.settings import Settings
from tests.kb.makers import make_dataset
from tests.kb.vectors.test_change import Letters

PARENTS = [
    " ".join(f"In river {n} the otter number {n * 10 + m} eats fish of kind {m}." for m in range(6))
    for n in range(12)
]
QUESTION = "In river 7 the otter number 73 eats fish of kind 3."
RULE = ProcessRule(mode=Mode.PARENT_CHILD, tokens=120, overlap_tokens=0, child_tokens=20)
EDITED = "A badger with a red hat sits in the garden. It sings of the moon and of cheese."
ADDED = "A heron counts the boats of the harbour. Nobody told it to stop at noon."


class Interrupted(Letters):
    """While it works for the second time, somebody does something."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.meanwhile: Callable[[], None] = lambda: None

    def embed(self, texts: Sequence[str]) -> Sequence[Any]:
        self.calls += 1
        if self.calls == 2:
            self.meanwhile()
        return super().embed(texts)


@pytest.fixture
def letters(monkeypatch: pytest.MonkeyPatch) -> Iterator[Interrupted]:
    made = Interrupted()
    monkeypatch.setitem(embedders.LOCAL, "letters", lambda: made)
    monkeypatch.setattr(tasks, "KEEP_OLD_SECONDS", 0.001)
    monkeypatch.setattr(tasks, "BUILD_SEGMENTS", 8)
    embedders._local.cache_clear()
    yield made
    embedders._local.cache_clear()


@pytest.fixture
def library(settings: Settings, letters: Interrupted) -> Iterator[Hub]:
    hub = app.build(settings)
    yield hub
    hub.close()


def work(hub: Hub) -> None:
    hub.run_worker(wait=False)


def model_of(hub: Hub, dataset_id: int) -> str:
    with hub.transaction() as session:
        return session.get_one(Dataset, dataset_id).embedding_model


def best(hub: Hub, dataset_id: int, question: str) -> str:
    """The text of the first parent that is found by a vector; empty where none is."""
    with hub.transaction() as session:
        hits = search(session, question, [dataset_id], mode="vector", limit=3)
    return hits[0].text if hits else ""


def test_children_that_are_edited_and_added_during_a_change_are_found_by_the_new_model_alone(
    library: Hub, letters: Interrupted, tmp_path: Path
) -> None:
    with library.transaction() as session:
        dataset_id = make_dataset(session, rule=RULE).id
    (tmp_path / "rivers.txt").write_text("\n\n".join(PARENTS))
    document_id = documents.add_document(library, dataset_id, tmp_path / "rivers.txt")
    work(library)
    with library.transaction() as session:
        ids = session.scalars(select(Segment.id).order_by(Segment.position)).all()
        assert (session.scalar(select(func.count()).select_from(ChildSegment)) or 0) > len(ids)
    wanted = best(library, dataset_id, QUESTION)

    def meanwhile() -> None:
        segments.edit_segment(library, ids[0], EDITED)
        segments.add_segment(library, document_id, ADDED)

    letters.meanwhile = meanwhile
    seen: list[tuple[str, str]] = []
    is_over = threading.Event()

    def searching() -> None:
        while not is_over.is_set():
            seen.append((model_of(library, dataset_id), best(library, dataset_id, QUESTION)))

    searcher = threading.Thread(target=searching)
    searcher.start()
    try:
        ways_in.change_model(library, dataset_id, "letters")
        work(library)
        work(library)  # the removal is deferred for later
        after = len(seen) + 2
        while len(seen) < after:
            is_over.wait(0.01)
    finally:
        is_over.set()
        searcher.join()

    assert "otter number 73" in wanted
    assert {model for model, _ in seen} == {"hash", "letters"}
    assert {found for _, found in seen} == {wanted}
    for told in (EDITED, ADDED):
        assert best(library, dataset_id, told) == told
    with library.transaction() as session:
        children = session.scalar(select(func.count()).select_from(ChildSegment)) or 0
        held = {n: store(session).count(session, dataset_id, n) for n in ("hash", "letters")}
        assert held == {"hash": 0, "letters": session.scalar(text(PARTS)) or 0}
        assert held["letters"] >= children


# What is to have a vector: each child, and each segment that has none.
PARTS = """
    SELECT (SELECT count(*) FROM taskhub_kb.child_segments)
        + (SELECT count(*) FROM taskhub_kb.segments AS s WHERE NOT EXISTS (
            SELECT FROM taskhub_kb.child_segments AS c WHERE c.segment_id = s.id))
"""
