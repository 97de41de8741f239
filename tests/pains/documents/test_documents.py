"""What hurt people in the system this replaces, and does not here: documents, imports, models."""

import dataclasses
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import select, text

from taskhub import app
from taskhub.kb.datasets.models import Dataset
from taskhub.kb.documents.models import Document
from taskhub.kb.documents.state import Condition
from taskhub.kb.segments.models import Segment
from taskhub.kb.segments.store import discard
from taskhub.kb.tasks.vectors import vector_indexing
from taskhub.kb.vectors.embed import embed
from taskhub.kb.vectors.embedders import HashEmbedder
from taskhub.kb.vectors.store import tables
from taskhub.kb.ways_in import changes, datasets, documents, segments, vectors
from taskhub.queue import insight
from taskhub.queue.filters import JobFilter
from tests.kb.vectors.endpoint import Endpoint, serving
from tests.kb.ways_in.library import Library
from tests.queue.staged import gone, new_worker, run_by

OTTERS = "Otters swim in the river and eat fish."


# 2. After a restart documents said "indexing" for ever, and nobody worked on them.
def test_a_document_never_says_indexing_when_nobody_works_on_it(library: Library) -> None:
    document_id = documents.add_document(
        library.hub, library.dataset_id, library.write("a.txt", OTTERS)
    )
    library.broken(document_id, "state = 'indexing'")
    worker = new_worker(library.hub, queues=["indexing"], tasks=("document_indexing",))
    job_id = library.status(document_id).job_id
    assert job_id is not None
    run_by(library.hub, worker, job_id)
    assert library.status(document_id).condition is Condition.WORKING

    gone(library.hub, worker)
    library.broken(document_id, "state = 'waiting'")
    while library.status(document_id).condition is not Condition.COMPLETED:
        library.work()  # gives back what the dead worker had, and does it

    assert library.find("otters") == [OTTERS]


# 3. A re-index was dispatched before the commit, and read the old model.
def test_a_change_of_the_model_and_its_job_commit_together(library: Library) -> None:
    library.add("a.txt", OTTERS)

    with pytest.raises(ZeroDivisionError), library.hub.transaction() as session:
        session.get_one(Dataset, library.dataset_id).next_model = "usem3"
        vector_indexing.options(session=session).defer(library.dataset_id)
        raise ZeroDivisionError
    assert library.jobs() == []

    vectors.change_model(library.hub, library.dataset_id, "usem3")
    library.work()

    with library.hub.transaction() as session:
        assert session.get_one(Dataset, library.dataset_id).embedding_model == "usem3"
        models = [m for table in tables(session) for m in session.scalars(select(table.c.model))]
    assert "usem3" in models


# 4. Documents were set to "waiting" for their retry, and the task was never sent.
def test_a_retry_sets_the_state_and_defers_in_one_transaction(library: Library) -> None:
    ids = [
        documents.add_document(
            library.hub, library.dataset_id, library.write(f"{n}.pdf", "no pdf at all")
        )
        for n in range(3)
    ]
    library.work()
    assert {library.status(i).condition for i in ids} == {Condition.FAILED}

    told = changes.retry_documents(library.hub, [*ids, 4711])

    assert [one.outcome for one in told[:3]] == ["deferred"] * 3
    assert told[3].outcome != "deferred"  # one that is not there stops none of the others
    assert len(library.jobs()) == 3
    assert {library.status(i).job_status for i in ids} == {"todo"}


# 5. An import of a CSV file said "waiting" for ever once its task had died.
def test_an_import_whose_job_fails_says_so(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    document_id = library.add("a.txt", OTTERS)

    def breaks(_: HashEmbedder, texts: Sequence[str]) -> Sequence[Any]:
        raise MemoryError("no room for the vectors")

    monkeypatch.setattr(HashEmbedder, "embed", breaks)
    segments.import_segments(
        library.hub, document_id, library.write("rows.csv", "content\nBadgers dig setts.\n")
    )
    for _ in range(3):
        library.work()
        _hasten(library)

    with library.hub.transaction() as session:
        state = session.execute(
            text("SELECT job_id, job_status, shown FROM taskhub_kb.segment_import_states")
        ).one()
    assert state.job_status == "failed"
    assert state.shown == f"failed: job {state.job_id} failed; see `taskhub show {state.job_id}`"
    assert "no room for the vectors" in library.failure(state.job_id)


def _hasten(library: Library) -> None:
    with library.hub.transaction() as session:
        session.execute(
            text("UPDATE taskhub.procrastinate_jobs SET scheduled_at = now() WHERE status = 'todo'")
        )


# 6. A row that could not be deleted made an endless loop and 95 GB of logs.
def test_a_clean_up_with_a_row_that_cannot_go_ends_and_names_it(library: Library) -> None:
    document_id = library.add("a.txt", OTTERS)
    library.add("b.txt", "Badgers dig setts.")
    with library.hub.transaction() as session:
        session.execute(text("CREATE TABLE held (id bigint REFERENCES taskhub_kb.documents (id))"))
        session.execute(text("INSERT INTO held VALUES (:id)"), {"id": document_id})

    job_id = datasets.delete_dataset(library.hub, library.dataset_id)
    library.work()

    assert job_id is not None
    told = insight.job(library.hub, job_id)
    assert told.status in ("failed", "todo")
    assert f"documents ({document_id},)" in (told.history[-1].error_message or "")
    assert library.count(Document) == 1  # the other one went


# 7. Vectors of deleted documents stayed in the vector store, and were found.
def test_a_vector_goes_in_the_transaction_in_which_its_segment_goes(library: Library) -> None:
    document_id = library.add("a.txt", OTTERS)
    assert library.vectors() == 1

    with pytest.raises(ZeroDivisionError), library.hub.transaction() as session:
        discard(session, document_id, 10)
        raise ZeroDivisionError
    assert (library.count(Segment), library.vectors()) == (1, 1)
    with library.hub.transaction() as session:
        discard(session, document_id, 10)

    assert (library.count(Segment), library.vectors()) == (0, 0)


# 8. Deleting while indexing left segments and vectors that nobody owned.
def test_what_was_being_indexed_when_it_was_deleted_leaves_nothing(library: Library) -> None:
    for n in range(3):
        documents.add_document(
            library.hub, library.dataset_id, library.write(f"{n}.txt", f"{OTTERS} {n}")
        )

    datasets.delete_dataset(library.hub, library.dataset_id)
    library.work()

    assert [library.count(m) for m in (Dataset, Document, Segment)] == [0, 0, 0]
    assert library.vectors() == 0
    left = insight.jobs(library.hub, JobFilter(tasks=("document_indexing",)))
    assert {job.status for job in left} <= {"cancelled", "failed"}


# 10. Two transactions that filled the embedding cache with the same texts deadlocked.
def test_two_that_embed_the_same_texts_the_other_way_round_do_not_deadlock(
    library: Library,
) -> None:
    texts = [f"text {n}" for n in range(200)]
    both = Barrier(2)

    def fill(mine: list[str]) -> int:
        with library.hub.transaction() as session:
            both.wait(20)
            return len(embed(session, mine, HashEmbedder()))

    with ThreadPoolExecutor(2) as threads:
        done = list(threads.map(fill, (texts, texts[::-1])))

    assert done == [200, 200]
    assert library.embedded() == 200


# 12. A provider's 429 made the document fail; somebody had to upload it again.
def test_a_provider_that_is_busy_costs_neither_the_document_nor_an_attempt(
    library: Library,
) -> None:
    with serving() as endpoint:
        hub = app.build(_with(library, endpoint))
        library = Library(hub, library.dataset_id, library.folder)
        with hub.transaction() as session:
            session.get_one(Dataset, library.dataset_id).embedding_model = "remote"
        endpoint.scripts = [lambda _: (429, {"Retry-After": "0"}, {"error": "slow down"})] * 2
        document_id = library.add("a.txt", OTTERS)
        for _ in range(10):
            if library.status(document_id).condition is Condition.COMPLETED:
                break
            _hasten(library)
            library.work()

        assert library.status(document_id).condition is Condition.COMPLETED
        jobs = insight.jobs(hub, JobFilter(tasks=("document_embedding",)))
        assert [job.attempts for job in jobs] == [1]
        hub.close()


def _with(library: Library, endpoint: Endpoint) -> Any:
    return dataclasses.replace(
        library.hub.settings, embedding_url=endpoint.url, embedding_dimensions=0
    )
