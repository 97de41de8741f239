"""How a document is indexed: by which jobs, in whose turn, and not at all when nothing has changed."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import delete, func, select, update

from taskhub import Hub, app
from taskhub.accounts.models import Tenant
from taskhub.accounts.tenants import ensure
from taskhub.kb.datasets import create
from taskhub.kb.datasets.models import Dataset
from taskhub.kb.documents import batches, state
from taskhub.kb.documents.models import Document
from taskhub.kb.segments.models import Segment
from taskhub.kb.segments.rules import ProcessRule
from taskhub.kb.vectors.embedders import HashEmbedder
from taskhub.kb.vectors.models import Embedding
from taskhub.kb.ways_in import documents
from taskhub.settings import Settings

TEXT = "The spare key of the cellar hangs behind the clock in the hall.\n"


@pytest.fixture
def library(settings: Settings) -> Iterator[Hub]:
    hub = app.build(settings)
    yield hub
    hub.close()


def make_dataset(hub: Hub, tenant: str = "test") -> int:
    with hub.transaction() as session:
        tenant_id = ensure(session, tenant).id
        return create.create(session, tenant_id, "house", embedding_model="hash").id


@pytest.fixture
def dataset_id(library: Hub) -> int:
    return make_dataset(library)


def work(hub: Hub) -> None:
    hub.run_worker(wait=False)


def status(hub: Hub, document_id: int) -> state.DocumentStatus:
    with hub.transaction() as session:
        return state.status(session, document_id)


def write(path: Path, content: str) -> Path:
    path.write_text(content)
    return path


def segment_ids(hub: Hub) -> list[int]:
    with hub.transaction() as session:
        return list(session.scalars(select(Segment.id).order_by(Segment.id)))


def task_of(hub: Hub, job_id: int | None) -> str:
    with hub.transaction() as session:
        query = f"SELECT task_name FROM {hub.settings.schema}.procrastinate_jobs WHERE id = %s"
        return str(session.connection().exec_driver_sql(query, (job_id,)).scalar_one())


def count_embedded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    seen: list[str] = []
    real = HashEmbedder.embed

    def embed(model: HashEmbedder, texts: list[str]) -> object:
        seen.extend(texts)
        return real(model, texts)

    monkeypatch.setattr(HashEmbedder, "embed", embed)
    return seen


def test_small_plain_text_is_one_job_and_every_other_file_gets_a_process(
    library: Hub, dataset_id: int, tmp_path: Path
) -> None:
    small = documents.add_document(library, dataset_id, write(tmp_path / "a.txt", TEXT))
    page = documents.add_document(library, dataset_id, write(tmp_path / "a.html", f"<p>{TEXT}</p>"))
    large = documents.add_document(library, dataset_id, write(tmp_path / "b.md", TEXT * 5000))

    tasks = [task_of(library, status(library, each).job_id) for each in (small, page, large)]
    work(library)

    assert tasks == ["document_indexing", "document_parsing", "document_parsing"]
    ended = [status(library, each) for each in (small, page, large)]
    assert [each.condition for each in ended] == [state.Condition.COMPLETED] * 3
    assert all(each.segments_done == each.segments_total > 0 for each in ended)


def test_both_ways_give_the_same_segments(library: Hub, dataset_id: int, tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "".join(f"{n}. {TEXT}" for n in range(1500)))
    here = documents.add_document(library, dataset_id, path)
    work(library)
    library.close()
    elsewhere_hub = app.build(dataclasses.replace(library.settings, small_text_bytes=0))
    elsewhere = documents.add_document(elsewhere_hub, dataset_id, path)
    work(elsewhere_hub)

    def rows(document_id: int) -> list[tuple[int, str, int]]:
        columns = (Segment.position, Segment.text, Segment.tokens)
        query = select(*columns).where(Segment.document_id == document_id)
        with elsewhere_hub.transaction() as session:
            found = session.execute(query.order_by(Segment.position))
            return [(row.position, row.text, row.tokens) for row in found]

    assert rows(here) == rows(elsewhere)
    assert len(rows(here)) > 10
    elsewhere_hub.close()


def test_a_child_that_takes_too_much_memory_leaves_a_document_in_a_named_error(
    library: Hub, dataset_id: int, tmp_path: Path
) -> None:
    task = library.tasks["document_parsing"]
    declared = task.execution
    assert declared is not None
    # Less than a child needs to import its libraries, so that any file is too much for it.
    small = dataclasses.replace(declared, memory_mb=20)
    # A task is frozen for whoever uses it, and not for whoever tries it out.
    object.__setattr__(task, "execution", small)
    page = documents.add_document(library, dataset_id, write(tmp_path / "a.html", "<p>Hello</p>"))
    note = documents.add_document(library, dataset_id, write(tmp_path / "a.txt", TEXT))

    try:
        work(library)
    finally:
        object.__setattr__(task, "execution", declared)

    ended = status(library, page)
    assert (ended.condition, ended.error_kind) == (state.Condition.FAILED, "limit")
    assert ended.shown.startswith("failed: limit ")
    assert status(library, note).condition is state.Condition.COMPLETED


def test_an_unchanged_document_gets_no_job_when_it_is_indexed_again(
    library: Hub, dataset_id: int, tmp_path: Path
) -> None:
    document_id = documents.add_document(library, dataset_id, write(tmp_path / "a.txt", TEXT))
    work(library)
    before = segment_ids(library)

    assert documents.index_again(library, document_id) is None
    assert documents.index_dataset_again(library, dataset_id) == documents.Again(1, 0)
    assert segment_ids(library) == before
    assert status(library, document_id).condition is state.Condition.COMPLETED


def test_another_size_of_segments_is_a_change(
    library: Hub, dataset_id: int, tmp_path: Path
) -> None:
    path = write(tmp_path / "a.txt", TEXT * 100)
    document_id = documents.add_document(library, dataset_id, path)
    work(library)
    before = len(segment_ids(library))
    with library.transaction() as session:
        session.execute(
            update(Dataset).values(process_rule=ProcessRule(tokens=100, overlap_tokens=0).stored())
        )

    assert documents.index_dataset_again(library, dataset_id) == documents.Again(0, 1)
    work(library)

    assert len(segment_ids(library)) > before
    assert status(library, document_id).condition is state.Condition.COMPLETED


@pytest.mark.parametrize("small_text_bytes", [262_144, 0])
def test_other_bytes_with_the_same_text_keep_segments_and_vectors(
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    small_text_bytes: int,
) -> None:
    hub = app.build(dataclasses.replace(settings, small_text_bytes=small_text_bytes))
    dataset_id = make_dataset(hub)
    document_id = documents.add_document(hub, dataset_id, write(tmp_path / "a.txt", TEXT))
    work(hub)
    before = segment_ids(hub)
    with hub.transaction() as session:
        # As a sync does that found the file saved again with another line end.
        session.execute(update(Document).values(sha256="changed"))
        session.execute(delete(Embedding))
    embedded = count_embedded(monkeypatch)

    job_id = documents.index_again(hub, document_id)
    work(hub)

    assert job_id is not None
    assert segment_ids(hub) == before
    assert embedded == []
    ended = status(hub, document_id)
    assert (ended.condition, ended.segments_done) == (state.Condition.COMPLETED, len(before))
    assert documents.index_again(hub, document_id) is None
    hub.close()


def test_forced_it_is_cut_anew_and_embeds_nothing_that_the_cache_has(
    library: Hub, dataset_id: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document_id = documents.add_document(library, dataset_id, write(tmp_path / "a.txt", TEXT))
    work(library)
    before = segment_ids(library)
    embedded = count_embedded(monkeypatch)

    assert documents.index_again(library, document_id, force=True) is not None
    work(library)

    after = segment_ids(library)
    assert len(after) == len(before)
    assert set(after).isdisjoint(before)
    assert embedded == []


def test_no_row_is_locked_while_the_model_works(
    library: Hub, dataset_id: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document_id = documents.add_document(library, dataset_id, write(tmp_path / "a.txt", TEXT))
    taken: list[bool] = []
    real = HashEmbedder.embed

    def embed(model: HashEmbedder, texts: list[str]) -> object:
        with library.engine.begin() as connection:
            name = f"{library.settings.kb_schema}.documents"
            query = f"SELECT id FROM {name} WHERE id = %s FOR UPDATE NOWAIT"
            taken.append(connection.exec_driver_sql(query, (document_id,)).scalar() is not None)
        return real(model, texts)

    monkeypatch.setattr(HashEmbedder, "embed", embed)

    work(library)

    assert taken == [True]
    assert status(library, document_id).condition is state.Condition.COMPLETED


def test_a_batch_counts_its_documents_and_a_bad_file_drops_none_of_the_rest(
    library: Hub, dataset_id: int, tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for number in range(3):
        write(folder / f"{number}.txt", f"{number} {TEXT}")
    write(folder / "bad.xyz", "what is this")

    added = list(documents.add_folder(library, dataset_id, folder))
    (batch_id,) = {each.batch_id for each in added}
    assert batch_id is not None
    with library.transaction() as session:
        before = batches.batch_status(session, batch_id)
    work(library)
    with library.transaction() as session:
        after = batches.batch_status(session, batch_id)

    assert (before.total, before.documents, before.is_over) == (4, 4, False)
    assert (after.done, after.failed, after.working, after.is_over) == (3, 1, 0, True)


def test_a_batch_that_is_not_there_is_named(library: Hub) -> None:
    with library.transaction() as session, pytest.raises(batches.UnknownBatch, match="batch 99"):
        batches.batch_status(session, 99)


def test_the_plan_of_a_tenant_gives_its_jobs_their_priority(
    settings: Settings, tmp_path: Path
) -> None:
    hub = app.build(dataclasses.replace(settings, plan_priorities={"paid": "50"}, tenant_jobs=2))
    ids = {tenant: make_dataset(hub, tenant) for tenant in ("free", "paid")}
    with hub.transaction() as session:
        session.execute(update(Tenant).where(Tenant.name == "paid").values(plan="paid"))
    path = write(tmp_path / "a.txt", TEXT)

    for dataset_id in ids.values():
        documents.add_document(hub, dataset_id, path)

    with hub.transaction() as session:
        rows = session.connection().exec_driver_sql(
            "SELECT priority, at_most, fair_key = 'tenant:' || (args ->> 'tenant_id') AS fair, "
            "limit_key IS NOT NULL AS limited "
            f"FROM {hub.settings.schema}.procrastinate_jobs ORDER BY id"
        )
        assert [tuple(row) for row in rows] == [(0, 2, True, True), (50, 2, True, True)]
    hub.close()


def test_pause_resume_and_the_missing_segments(
    library: Hub, dataset_id: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a.txt", "".join(f"{n}. {TEXT}" for n in range(4000)))
    document_id = documents.add_document(library, dataset_id, path)
    real = HashEmbedder.embed

    def embed(model: HashEmbedder, texts: list[str]) -> object:
        documents.pause_document(library, document_id)
        return real(model, texts)

    monkeypatch.setattr(HashEmbedder, "embed", embed)
    work(library)
    paused = status(library, document_id)
    before = segment_ids(library)
    monkeypatch.undo()

    documents.resume_document(library, document_id)
    work(library)

    assert paused.condition is state.Condition.PAUSED
    assert 0 == paused.segments_done < paused.segments_total
    assert segment_ids(library) == before
    assert status(library, document_id).condition is state.Condition.COMPLETED
    with library.transaction() as session:
        assert session.scalar(select(func.count()).select_from(Embedding)) == len(before)
