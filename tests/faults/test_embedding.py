"""A worker, Postgres or the wish for a document goes away while an endpoint makes its vectors."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from taskhub.accounts.tenants import ensure
from taskhub.kb.datasets import create
from taskhub.kb.documents import state
from taskhub.kb.documents.state import Condition
from taskhub.kb.segments.rules import Mode, ProcessRule
from taskhub.kb.ways_in import documents
from taskhub.queue.jobs import Job
from tests.faults import gates
from tests.faults.cluster import Mould
from tests.faults.house import House, house
from tests.kb.vectors.endpoint import Endpoint, answer, serving
from tests.waiting import until

BATCH = 16
SENTENCES = 120
POINTS = {
    "handing on": ("taskhub.procrastinate_jobs", "INSERT", "NEW.task_name = 'document_embedding'"),
    "half of the vectors": ("taskhub_kb.segments", "UPDATE", "NEW.position = 20"),
    "completing": ("taskhub_kb.documents", "UPDATE", "NEW.state = 'completed'"),
}
ROWS = """
    SELECT s.position, s.text, s.tokens, s.sha256, s.keywords, s.words::text, s.state::text,
        s.error, v.part, v.model, v.vector::text
    FROM taskhub_kb.segments AS s
    LEFT JOIN taskhub_kb.vectors_384 AS v ON v.segment_id = s.id
    WHERE s.document_id = %s
    ORDER BY s.position, v.part
"""


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Endpoint]:
    with serving() as served:
        yield served


@pytest.fixture(scope="module")
def home(mould: Mould, endpoint: Endpoint) -> Iterator[House]:
    told = {"embedding_url": endpoint.url, "embedding_batch": str(BATCH)}
    with house(mould, **told, embedding_dimensions="384") as made:
        yield made


@pytest.fixture(scope="module")
def dataset_id(home: House) -> int:
    return dataset_of(home)


def dataset_of(home: House) -> int:
    with home.hub.transaction() as session:
        return create.create(
            session, ensure(session, "books").id, "book", embedding_model="remote",
            rule=ProcessRule(mode=Mode.CUSTOM, tokens=50, overlap_tokens=0),
        ).id  # fmt: skip


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("books") / "book.txt"
    made.write_text(
        "".join(f"Sentence {n} of the book tells all of key {n * 7}.\n\n" for n in range(SENTENCES))
    )
    return made


@pytest.fixture(scope="module")
def clean_rows(home: House, dataset_id: int, path: Path) -> list[dict[str, Any]]:
    """The rows of a document that met no fault."""
    home.has_a_worker()
    document_id = documents.add_document(home.hub, dataset_id, path)
    completes(home, document_id)
    rows = home.cluster.rows(ROWS, document_id)
    assert len(rows) > 2 * BATCH
    assert all(row["vector"] for row in rows)
    return rows


def status(home: House, document_id: int) -> state.DocumentStatus:
    with home.hub.transaction() as session:
        return state.status(session, document_id)


def completes(home: House, document_id: int) -> None:
    def is_complete() -> bool:
        found = status(home, document_id)
        assert found.condition is not Condition.FAILED, found.shown
        return found.condition is Condition.COMPLETED

    until(is_complete, f"document {document_id}: completed", seconds=90)


def forget(home: House, endpoint: Endpoint) -> None:
    """Have every text asked for anew."""
    home.cluster.run("DELETE FROM taskhub_kb.embeddings")
    endpoint.asked.clear()


def distinct(rows: list[dict[str, Any]]) -> int:
    return len({row["sha256"] for row in rows})


def is_whole(
    home: House, endpoint: Endpoint, document_id: int, clean: list[dict[str, Any]]
) -> None:
    """The rows of a clean run, for the price of one request more."""
    assert home.cluster.rows(ROWS, document_id) == clean
    asked = sum(len(texts) for texts in endpoint.asked)
    assert distinct(clean) <= asked <= distinct(clean) + BATCH
    home.has_no_orphans()


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("fault", ["kill", "restart"])
def test_a_fault_costs_one_request_and_leaves_the_rows_of_a_clean_run(  # noqa: PLR0917 - fixtures
    home: House, endpoint: Endpoint, dataset_id: int, path: Path,
    clean_rows: list[dict[str, Any]], point: str, fault: str,
) -> None:  # fmt: skip
    forget(home, endpoint)
    with gates.held(home.cluster, *POINTS[point]) as open_gate:
        worker = home.has_a_worker()
        document_id = documents.add_document(home.hub, dataset_id, path)
        gates.wait_at_the_gate(home.cluster)

        home.meets(fault, worker)
        open_gate()
        completes(home, document_id)

    is_whole(home, endpoint, document_id, clean_rows)


@pytest.mark.parametrize("fault", ["kill", "restart"])
def test_a_fault_while_the_endpoint_works_asks_it_again_and_nothing_twice_beyond_that(  # noqa: PLR0917 - fixtures
    home: House, endpoint: Endpoint, dataset_id: int, path: Path,
    clean_rows: list[dict[str, Any]], fault: str,
) -> None:  # fmt: skip
    forget(home, endpoint)
    asked, let_go = threading.Event(), threading.Event()

    def late(texts: list[str]) -> tuple[int, dict[str, str], Any]:
        asked.set()
        let_go.wait(60)
        return answer(texts)

    endpoint.scripts = [answer, late]
    worker = home.has_a_worker()
    document_id = documents.add_document(home.hub, dataset_id, path)
    assert asked.wait(60)

    home.meets(fault, worker)
    let_go.set()
    completes(home, document_id)

    is_whole(home, endpoint, document_id, clean_rows)


@pytest.mark.parametrize("point", POINTS)
def test_a_cancelled_document_says_so_and_is_whole_when_it_is_indexed_again(  # noqa: PLR0917 - fixtures
    home: House, endpoint: Endpoint, dataset_id: int, path: Path,
    clean_rows: list[dict[str, Any]], point: str,
) -> None:  # fmt: skip
    forget(home, endpoint)
    with gates.held(home.cluster, *POINTS[point]) as open_gate:
        home.has_a_worker()
        document_id = documents.add_document(home.hub, dataset_id, path)
        gates.wait_at_the_gate(home.cluster)
        job_id = status(home, document_id).job_id
        assert job_id is not None

        Job(job_id, "document", home.hub).cancel(reason="no longer wanted")
        gates.wait_until_heard()
        open_gate()
        ends = (Condition.CANCELLED, Condition.COMPLETED)
        until(lambda: status(home, document_id).condition in ends, "the end of the work")

    documents.index_again(home.hub, document_id)
    completes(home, document_id)
    is_whole(home, endpoint, document_id, clean_rows)


def test_tokens_that_a_dead_worker_had_reserved_come_back(
    mould: Mould, endpoint: Endpoint, path: Path
) -> None:
    asked, let_go = threading.Event(), threading.Event()

    def late(texts: list[str]) -> tuple[int, dict[str, str], Any]:
        asked.set()
        let_go.wait(60)
        return answer(texts)

    told = {"embedding_url": endpoint.url, "embedding_batch": str(BATCH)}
    rates = {"embedding_requests_per_minute": "120", "embedding_tokens_per_minute": "120000"}
    with house(mould, **told, **rates, embedding_dimensions="384") as home:
        dataset_id = dataset_of(home)
        endpoint.scripts = [late]
        worker = home.has_a_worker()
        document_id = documents.add_document(home.hub, dataset_id, path)
        assert asked.wait(60)
        worker.kill()
        reserved = tokens_left(home)

        let_go.set()
        home.has_a_worker()
        completes(home, document_id)

        assert reserved < BURST
        until(lambda: tokens_left(home) == BURST, "a full bucket")


# What comes in a second.
BURST = 2000


def tokens_left(home: House) -> float:
    [limit] = [limit for limit in home.hub.limits() if limit.name == "embedding:remote"]
    assert limit.tokens is not None
    return limit.tokens
