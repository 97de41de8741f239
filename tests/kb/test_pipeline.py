"""The pipeline on a real worker: good files become findable, bad ones end in a named state."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, select

from taskhub import Hub, Status, app
from taskhub.accounts.tenants import ensure
from taskhub.kb.datasets import clean, create
from taskhub.kb.documents import state
from taskhub.kb.documents.models import Document
from taskhub.kb.search import search
from taskhub.kb.segments.models import Segment
from taskhub.kb.tasks import indexing
from taskhub.kb.ways_in import datasets, documents
from taskhub.queue import Job
from taskhub.settings import Settings

ENCRYPTED = Path(__file__).parents[1] / "fixtures" / "documents" / "encrypted.pdf"
TEXT = "The spare key of the cellar hangs behind the clock in the hall."


@pytest.fixture
def library(settings: Settings) -> Iterator[Hub]:
    hub = app.build(dataclasses.replace(settings, max_file_bytes=1_000_000))
    yield hub
    hub.close()


@pytest.fixture
def dataset_id(library: Hub) -> int:
    with library.transaction() as session:
        tenant = ensure(session, "test")
        return create.create(session, tenant.id, "house", embedding_model="hash").id


def work(hub: Hub) -> None:
    hub.run_worker(wait=False)


def status(hub: Hub, document_id: int) -> state.DocumentStatus:
    with hub.transaction() as session:
        return state.status(session, document_id)


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


BAD = {
    "empty.txt": (b"", "empty"),
    "garbage.pdf": (bytes(range(256)) * 40, "damaged"),
    "unknown.xyz": (b"what is this", "unknown_format"),
    "large.txt": (b"x" * 1_000_001, "too_large"),
    "encrypted.pdf": (ENCRYPTED.read_bytes(), "encrypted"),
}
GOOD = {
    "latin.txt": "Die Größe des Kellers beträgt zwölf Meter; der Schlüssel hängt im Flur.".encode(
        "latin-1"
    ),
    "chinese.txt": ("地下室的备用钥匙挂在门厅的时钟后面。" * 8).encode("gb18030"),
    "nul.txt": b"The key\0 hangs\0 behind the clock.",
    "page.html": b"<html><nav>menu</nav><script>x()</script><p>The key hangs behind the clock.</p></html>",
    "note.md": f"# Keys\n\n{TEXT}\n".encode(),
}


def test_bad_files_end_in_a_named_state_and_the_others_go_on(
    library: Hub, dataset_id: int, tmp_path: Path
) -> None:
    bad = {
        name: (documents.add_document(library, dataset_id, write(tmp_path / name, content)), kind)
        for name, (content, kind) in BAD.items()
    }
    (tmp_path / "folder").mkdir()
    bad["folder"] = (documents.add_document(library, dataset_id, tmp_path / "folder"), "not_a_file")
    bad["gone.txt"] = (
        documents.add_document(library, dataset_id, tmp_path / "gone.txt"),
        "missing",
    )
    good = {
        name: documents.add_document(library, dataset_id, write(tmp_path / name, content))
        for name, content in GOOD.items()
    }

    work(library)

    ended = {name: status(library, document_id) for name, (document_id, _) in bad.items()}
    assert {name: s.error_kind for name, s in ended.items()} == {
        n: kind for n, (_, kind) in bad.items()
    }
    assert all(s.error and s.condition is state.Condition.FAILED for s in ended.values())
    assert {name: status(library, i).condition for name, i in good.items()} == dict.fromkeys(
        good, state.Condition.COMPLETED
    )


def test_a_file_that_vanishes_after_it_was_added_is_indexed_all_the_same(
    library: Hub, dataset_id: int, tmp_path: Path
) -> None:
    path = write(tmp_path / "note.txt", TEXT.encode())
    document_id = documents.add_document(library, dataset_id, path)
    path.unlink()

    work(library)

    assert status(library, document_id).condition is state.Condition.COMPLETED


def test_a_bad_file_is_a_failed_job_that_a_retry_mends_once_the_file_is_there(
    library: Hub, dataset_id: int, tmp_path: Path
) -> None:
    path = tmp_path / "late.txt"
    document_id = documents.add_document(library, dataset_id, path)
    work(library)
    job_id = status(library, document_id).job_id
    assert job_id is not None
    job: Job[object] = Job(job_id, "document_indexing", library)
    assert job.status() is Status.FAILED
    path.write_text(TEXT)

    from taskhub.queue import actions

    actions.retry(library, [job_id])
    work(library)

    assert job.status() is Status.SUCCEEDED
    assert status(library, document_id).condition is state.Condition.COMPLETED


def test_running_the_same_job_twice_gives_the_same_rows(
    library: Hub, dataset_id: int, tmp_path: Path
) -> None:
    document_id = documents.add_document(
        library, dataset_id, write(tmp_path / "a.txt", TEXT.encode() * 200)
    )
    work(library)
    with library.transaction() as session:
        before = session.execute(select(Segment.id, Segment.text).order_by(Segment.id)).all()

    indexing.document_indexing.options(autocommit=True).defer(document_id)
    work(library)

    with library.transaction() as session:
        assert (
            session.execute(select(Segment.id, Segment.text).order_by(Segment.id)).all() == before
        )


def test_a_rolled_back_addition_leaves_neither_document_nor_job(
    library: Hub, dataset_id: int
) -> None:
    with pytest.raises(ZeroDivisionError), library.transaction() as session:
        indexing.document_indexing.options(session=session).defer(1)
        raise ZeroDivisionError

    with library.transaction() as session:
        assert session.scalar(select(func.count()).select_from(Document)) == 0
    assert library.read_one("read_status", job_id=1) is None


def test_a_dataset_is_searched_and_then_cleaned_to_the_last_row(
    library: Hub, dataset_id: int, tmp_path: Path
) -> None:
    documents.add_document(library, dataset_id, write(tmp_path / "note.md", GOOD["note.md"]))
    work(library)
    with library.transaction() as session:
        hits = search(session, "where is the spare key", [dataset_id])
        before = clean.count(session, dataset_id)

    job_id = datasets.delete_dataset(library, dataset_id)
    work(library)

    assert [hit.document_name for hit in hits] == ["note.md"]
    assert before["segments"] == before["vectors"] == 1
    assert job_id is not None
    with library.transaction() as session:
        assert set(clean.count(session, dataset_id).values()) == {0}
    assert datasets.delete_dataset(library, dataset_id) is None
