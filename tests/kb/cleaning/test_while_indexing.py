"""What is deleted while it is being indexed leaves nothing behind."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest
from sqlalchemy import func, select

from taskhub import Hub, Status
from taskhub.accounts.tenants import ensure
from taskhub.kb.cleaning.orphans import orphans
from taskhub.kb.datasets import create
from taskhub.kb.datasets.clean import count
from taskhub.kb.documents.models import Document
from taskhub.kb.segments.models import Segment
from taskhub.kb.segments.rules import Mode, ProcessRule
from taskhub.kb.vectors import embedders
from taskhub.kb.ways_in.changes import delete_documents
from taskhub.kb.ways_in.datasets import delete_dataset
from taskhub.kb.ways_in.documents import add_folder
from taskhub.queue import Job
from tests.waiting import until

DOCUMENTS = 4
LONG = "\n\n".join(f"Otter number {n} swims in river {n} and eats fish {n}." for n in range(2000))


class Held(embedders.HashEmbedder):
    """Vectors come only after somebody opens the gate."""

    def __init__(self) -> None:
        self.entered = threading.Semaphore(0)
        self.gate = threading.Event()

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        self.entered.release()
        assert self.gate.wait(60)
        return [[1.0] * self.width for _ in texts]


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[Held]:
    model = Held()
    monkeypatch.setitem(embedders.LOCAL, "hash", lambda: model)
    embedders._local.cache_clear()
    yield model
    embedders._local.cache_clear()


@contextmanager
def working(hub: Hub) -> Iterator[threading.Thread]:
    """A worker that runs until no job is ready."""
    thread = threading.Thread(target=lambda: hub.run_worker(wait=False, concurrency=8))
    thread.start()
    yield thread
    thread.join(60)
    assert not thread.is_alive()


@pytest.fixture
def dataset_id(library: Hub, tmp_path_factory: pytest.TempPathFactory) -> int:
    """A dataset with four long documents whose index jobs wait."""
    with library.transaction() as session:
        made = create.create(
            session, ensure(session, "t").id, "rivers", embedding_model="hash",
            rule=ProcessRule(mode=Mode.CUSTOM, tokens=50, overlap_tokens=0),
        ).id  # fmt: skip
    folder = tmp_path_factory.mktemp("rivers")
    for n in range(DOCUMENTS):
        (folder / f"{n}.txt").write_text(LONG.replace("Otter", f"Otter{n}"))
    assert [added.error for added in add_folder(library, made, folder)] == [None] * DOCUMENTS
    return made


def all_are_embedding(held: Held) -> bool:
    return all(held.entered.acquire(timeout=60) for _ in range(DOCUMENTS))


def jobs(hub: Hub, dataset_id: int) -> list[Job[object]]:
    with hub.transaction() as session:
        ids = session.scalars(select(Document.job_id).where(Document.dataset_id == dataset_id))
        return [Job(job_id, "document_indexing", hub) for job_id in ids if job_id]


def nothing_is_left(hub: Hub, dataset_id: int) -> Callable[[], bool]:
    def look() -> bool:
        with hub.transaction() as session:
            return not any(count(session, dataset_id).values())

    return look


def test_a_dataset_deleted_under_four_index_jobs_leaves_nothing(
    library: Hub, dataset_id: int, held: Held
) -> None:
    indexing = jobs(library, dataset_id)

    with working(library):
        assert all_are_embedding(held)
        # Its transaction does not wait for the batches that are under way.
        job_id = delete_dataset(library, dataset_id)
        held.gate.set()
        assert job_id is not None
        cleaning: Job[object] = Job(job_id, "clean_dataset", library)
        until(lambda: cleaning.status() is Status.SUCCEEDED, "the clean-up", seconds=60)
        until(nothing_is_left(library, dataset_id), "the last row's end", seconds=20)

    assert {job.status() for job in indexing} <= {Status.ABORTED, Status.FAILED, Status.CANCELLED}
    with library.transaction() as session:
        assert orphans(session) == {}
        assert session.scalar(select(func.count()).select_from(Segment)) == 0


def test_documents_deleted_under_their_index_jobs_leave_nothing_and_the_others_are_indexed(
    library: Hub, dataset_id: int, held: Held
) -> None:
    with library.transaction() as session:
        ids = session.scalars(select(Document.id).order_by(Document.id)).all()

    with working(library):
        assert all_are_embedding(held)
        held.gate.set()
        deleted = delete_documents(library, ids[:2])

    assert [one.outcome for one in deleted] == ["deleted", "deleted"]
    with library.transaction() as session:
        assert orphans(session) == {}
        left = session.execute(
            select(Document.id, Document.completed_at.is_not(None)).order_by(Document.id)
        ).all()
        assert [tuple(row) for row in left] == [(ids[2], True), (ids[3], True)]
        owners = session.scalars(select(Segment.document_id).distinct())
        assert set(owners) == set(ids[2:])


def test_an_index_job_that_comes_after_the_deletion_ends_at_once(
    library: Hub, dataset_id: int, held: Held
) -> None:
    from taskhub.kb.tasks.indexing import document_indexing

    with library.transaction() as session:
        document_id = session.scalar(select(func.min(Document.id)))
        assert document_id is not None
    delete_dataset(library, dataset_id)
    late = document_indexing.options(autocommit=True, priority=10).defer(document_id)

    library.run_worker(wait=False)

    assert late.status() is Status.FAILED
    assert not held.entered.acquire(blocking=False)
    assert nothing_is_left(library, dataset_id)()
