"""A worker, Postgres or the wish for a document goes away at each stage of the pipeline."""

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from taskhub import Hub, app
from taskhub.accounts.tenants import ensure
from taskhub.kb.datasets import create
from taskhub.kb.documents import state
from taskhub.kb.documents.state import Condition
from taskhub.kb.segments.rules import ProcessRule
from taskhub.kb.ways_in import documents
from taskhub.queue.jobs import Job
from taskhub.settings import Settings
from tests.faults import gates
from tests.faults.cluster import Cluster
from tests.faults.programs import Program
from tests.waiting import until

# Where the work is held: the statement that a trigger stops until the gate is open.
POINTS = {
    "parsing": ("documents", "UPDATE", "NEW.state = 'parsing'"),
    "cleaning": ("documents", "UPDATE", "NEW.state = 'cleaning'"),
    "splitting": ("documents", "UPDATE", "NEW.state = 'splitting'"),
    "half of the segments": ("segments", "INSERT", "NEW.position = 256"),
    "indexing": ("documents", "UPDATE", "NEW.state = 'indexing'"),
    "half of the vectors": ("segments", "UPDATE", "NEW.position = 100"),
    "completing": ("documents", "UPDATE", "NEW.state = 'completed'"),
}
# A small text has one transaction, which is held at its statements.
SMALL_POINTS = {
    "its end": ("documents", "UPDATE", "NEW.state = 'completed'"),
    "half of its segments": ("segments", "INSERT", "NEW.position = 10"),
    "its vectors": ("vectors_512", "INSERT", "true"),
}
SMALL_BYTES = 262_144
ROWS = """
    SELECT s.position, s.text, s.tokens, s.sha256, s.keywords, s.words::text, s.state::text,
        s.error, v.part, v.model, v.vector::text
    FROM taskhub_kb.segments AS s
    LEFT JOIN taskhub_kb.vectors_512 AS v ON v.segment_id = s.id
    WHERE s.document_id = %s
    ORDER BY s.position, v.part
"""


@dataclasses.dataclass(frozen=True)
class Library:
    """A hub on the cluster with one dataset, and a file that has more than so many segments."""

    cluster: Cluster
    hub: Hub
    dataset_id: int
    path: Path
    start: Callable[[], Program]
    segments: int

    def add(self) -> int:
        return documents.add_document(self.hub, self.dataset_id, self.path)

    def status(self, document_id: int) -> state.DocumentStatus:
        with self.hub.transaction() as session:
            return state.status(session, document_id)

    def completes(self, document_id: int) -> None:
        def is_complete() -> bool:
            found = self.status(document_id)
            assert found.condition is not Condition.FAILED, found.shown
            return found.condition is Condition.COMPLETED

        until(is_complete, f"document {document_id}: completed", seconds=90)

    def rows(self, document_id: int) -> list[dict[str, Any]]:
        return self.cluster.rows(ROWS, document_id)

    @contextmanager
    def held_at(self, point: str) -> Iterator[Callable[[], None]]:
        """The next document's work stops there, until what is given is called; once alone."""
        table, event, condition = (POINTS | SMALL_POINTS)[point]
        with gates.held(self.cluster, f"taskhub_kb.{table}", event, condition) as open_gate:
            yield open_gate

    def waits_at_the_gate(self) -> None:
        gates.wait_at_the_gate(self.cluster)

    def has_no_orphans(self) -> None:
        without = {
            "segments": "document_id NOT IN (SELECT id FROM taskhub_kb.documents)",
            "vectors_512": "segment_id NOT IN (SELECT id FROM taskhub_kb.segments)",
            "document_parts": "document_id NOT IN (SELECT id FROM taskhub_kb.documents)",
        }
        for table, condition in without.items():
            query = f"SELECT count(*) FROM taskhub_kb.{table} WHERE {condition}"
            assert self.cluster.one(query) == 0, table


@contextmanager
def make_library(
    cluster: Cluster,
    programs: list[Program],
    folder: Path,
    *,
    sentences: int,
    segments: int,
    small_bytes: int,
) -> Iterator[Library]:
    hub = app.build(Settings(database_url=cluster.url, small_text_bytes=small_bytes))
    with hub.transaction() as session:
        dataset_id = create.create(
            session,
            ensure(session, "test").id,
            "house",
            embedding_model="hash",
            rule=ProcessRule(tokens=50, overlap_tokens=10),
        ).id
    path = folder / "book.txt"
    path.write_text(
        "".join(f"Sentence {n} of the book tells of key {n * 7}.\n" for n in range(sentences))
    )

    def start() -> Program:
        log = folder / f"worker-{len(programs)}.log"
        program = Program("library.py", cluster.url, str(small_bytes), log=log)
        programs.append(program)
        program.logs("worker started")
        return program

    yield Library(cluster, hub, dataset_id, path, start, segments)
    hub.close()


@pytest.fixture
def library(cluster: Cluster, programs: list[Program], tmp_path: Path) -> Iterator[Library]:
    """Whose files go the long way, with some hundred segments."""
    with make_library(
        cluster, programs, tmp_path, sentences=1200, segments=300, small_bytes=0
    ) as made:
        yield made


@pytest.fixture
def small_library(cluster: Cluster, programs: list[Program], tmp_path: Path) -> Iterator[Library]:
    """Whose files are small texts, each a job and a transaction."""
    with make_library(
        cluster, programs, tmp_path, sentences=60, segments=12, small_bytes=SMALL_BYTES
    ) as made:
        yield made


def clean_run(library: Library) -> tuple[Program, list[dict[str, Any]]]:
    """A worker, and the rows that a document has which met no fault."""
    worker = library.start()
    document_id = library.add()
    library.completes(document_id)
    rows = library.rows(document_id)
    assert len(rows) > library.segments
    assert all(row["vector"] for row in rows)
    return worker, rows


@pytest.mark.parametrize("point", POINTS)
def test_a_worker_that_is_killed_leaves_the_rows_of_a_clean_run(
    library: Library, point: str
) -> None:
    worker, rows = clean_run(library)
    with library.held_at(point) as open_gate:
        document_id = library.add()
        library.waits_at_the_gate()

        worker.kill()
        library.start()
        open_gate()
        library.completes(document_id)

    assert library.rows(document_id) == rows
    library.has_no_orphans()


@pytest.mark.parametrize("point", POINTS)
def test_a_restart_of_postgres_leaves_the_rows_of_a_clean_run(library: Library, point: str) -> None:
    worker, rows = clean_run(library)
    with library.held_at(point):
        document_id = library.add()
        library.waits_at_the_gate()

        library.cluster.stop("immediate")
        library.hub.close()
        library.cluster.start()
        library.completes(document_id)

    assert worker.lives
    assert library.rows(document_id) == rows
    library.has_no_orphans()


@pytest.mark.parametrize("point", POINTS)
def test_a_cancelled_document_says_so_and_is_whole_when_it_is_indexed_again(
    library: Library, point: str
) -> None:
    _, rows = clean_run(library)
    with library.held_at(point) as open_gate:
        document_id = library.add()
        library.waits_at_the_gate()
        job_id = library.status(document_id).job_id
        assert job_id is not None
        job: Job[object] = Job(job_id, "document", library.hub)

        job.cancel(reason="no longer wanted")
        gates.wait_until_heard()
        open_gate()
        until(
            lambda: (
                library.status(document_id).condition in (Condition.CANCELLED, Condition.COMPLETED)
            ),
            "the end of the work",
        )

    shown = library.status(document_id)
    # At the last stage the work may be done before the request to stop is heard.
    assert shown.condition is Condition.CANCELLED or point == "completing", shown.shown
    documents.index_again(library.hub, document_id, force=True)
    library.completes(document_id)
    assert library.rows(document_id) == rows
    library.has_no_orphans()


@pytest.mark.parametrize("how", ["kill", "restart"])
@pytest.mark.parametrize("point", SMALL_POINTS)
def test_a_small_text_that_is_interrupted_leaves_the_rows_of_a_clean_run(
    small_library: Library, point: str, how: str
) -> None:
    worker, rows = clean_run(small_library)
    with small_library.held_at(point) as open_gate:
        document_id = small_library.add()
        small_library.waits_at_the_gate()

        if how == "kill":
            worker.kill()
            small_library.start()
            open_gate()
        else:
            small_library.cluster.stop("immediate")
            small_library.hub.close()
            small_library.cluster.start()
        small_library.completes(document_id)

    assert small_library.rows(document_id) == rows
    small_library.has_no_orphans()
