"""The cleaning family on a real worker."""

from typing import Any

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

from taskhub import Hub, Status
from taskhub.db import Base
from taskhub.kb.annotations.match import match
from taskhub.kb.annotations.models import Annotation, AnnotationVector
from taskhub.kb.apps import create as apps
from taskhub.kb.apps.models import App, Conversation, Message
from taskhub.kb.cleaning import batches, kinds
from taskhub.kb.cleaning import unused as unused_datasets
from taskhub.kb.cleaning.models import DatasetAutoDisabled
from taskhub.kb.datasets.models import Dataset
from taskhub.kb.documents.models import Document
from taskhub.kb.search import search
from taskhub.kb.tasks import annotations as annotation_tasks
from taskhub.kb.tasks import cleaning as tasks
from taskhub.kb.tasks import removal
from taskhub.kb.vectors.models import VECTOR_TABLES, Embedding
from taskhub.kb.vectors.store import tables
from taskhub.kb.ways_in.apps import delete_app
from taskhub.kb.ways_in.changes import delete_documents
from taskhub.kb.ways_in.datasets import delete_dataset
from taskhub.queue import Job, Task
from tests.kb.makers import make_app, make_dataset, make_indexed


def run(hub: Hub, task: Task[..., Any], *arguments: object) -> dict[str, int]:
    job = task.options(autocommit=True).defer(*arguments)
    hub.run_worker(wait=False)
    result = job.result(5)
    assert isinstance(result, dict)
    return result


def ended(hub: Hub, job_id: int) -> object:
    job: Job[object] = Job(job_id, "any", hub)
    return job.result(5)


def everything(session: Session) -> dict[str, int]:
    """Rows of each table that has any; those of vectors, whichever there are, are one."""
    counts: dict[str, int] = {}
    for table in Base.metadata.sorted_tables:
        if table in VECTOR_TABLES and table not in tables(session):
            continue
        name = "vectors" if table in VECTOR_TABLES else table.name
        rows = session.scalar(select(func.count()).select_from(table)) or 0
        counts[name] = counts.get(name, 0) + rows
    return {name: number for name, number in counts.items() if number}


def test_a_document_goes_with_all_it_has_and_its_neighbour_stays(library: Hub) -> None:
    with library.transaction() as session:
        dataset = make_dataset(session)
        dataset_id = dataset.id
        ours = make_indexed(session, dataset, "Otters swim.", "Otters eat.").id
        make_indexed(session, dataset, "Badgers dig.")

    deleted, missing = delete_documents(library, [ours, 10**9])

    assert (deleted.outcome, missing.outcome) == ("deleted", "does not exist")
    with library.transaction() as session:
        found = search(session, "Otters swim.", [dataset_id], limit=10)
    assert [hit.text for hit in found] == ["Badgers dig."]
    library.run_worker(wait=False)
    assert deleted.job_id is not None
    gone = {"documents": 1, "parts": 1, "segments": 2, "vectors": 2}
    assert ended(library, deleted.job_id) == gone
    with library.transaction() as session:
        counts = everything(session)
    assert (counts["documents"], counts["segments"], counts["vectors"]) == (1, 1, 1)


def test_many_documents_go_in_one_job_and_those_that_are_gone_keep_no_other(library: Hub) -> None:
    with library.transaction() as session:
        dataset = make_dataset(session)
        ids = [make_indexed(session, dataset, f"Otter {n} swims.").id for n in range(5)]

    first = run(library, tasks.batch_clean_document, [*ids, 10**9])
    again = run(library, tasks.batch_clean_document, [*ids, 10**9])

    assert first == {"documents": 5, "parts": 5, "segments": 5, "vectors": 5}
    assert again == {}


def test_an_index_job_of_a_deleted_document_ends_and_writes_nothing(library: Hub) -> None:
    from taskhub.kb.tasks.indexing import document_indexing

    with library.transaction() as session:
        document_id = make_indexed(session, make_dataset(session), "Otters swim.").id
    [deleted] = delete_documents(library, [document_id])
    late = document_indexing.options(autocommit=True).defer(document_id)

    library.run_worker(wait=False)

    assert deleted.job_id
    assert late.status() is Status.FAILED
    with library.transaction() as session:
        assert set(everything(session)) == {"tenants", "datasets", "embeddings"}


def test_a_dataset_whose_documents_wait_is_deleted_and_their_jobs_with_it(
    library: Hub,
) -> None:
    from taskhub.kb.tasks.indexing import document_indexing

    with library.transaction() as session:
        dataset = make_dataset(session)
        dataset_id = dataset.id
        waiting = []
        for n in range(3):
            document = make_indexed(session, dataset, f"Otter {n} swims.")
            job = document_indexing.options(session=session).defer(document.id)
            document.job_id = job.id
            waiting.append(job)

    delete_dataset(library, dataset_id)

    assert {job.status() for job in waiting} == {Status.CANCELLED}
    library.run_worker(wait=False)
    with library.transaction() as session:
        assert set(everything(session)) == {"tenants", "embeddings"}


def test_an_app_goes_with_all_that_belongs_to_it_and_leaves_its_datasets(library: Hub) -> None:
    with library.transaction() as session:
        dataset = make_dataset(session)
        app = make_app(session, annotations=3, messages=4)
        app_id = app.id
        apps.join(session, app_id, [dataset.id])
        message_id = session.scalar(select(func.min(Message.id)))
        first = session.scalars(select(Annotation).order_by(Annotation.id)).first()
        assert first is not None
        first.message_id, question = message_id, first.question
    run(library, annotation_tasks.enable_annotation_reply, app_id, 0.9, "hash")
    with library.transaction() as session:
        assert match(session, app_id, question)

    job_id = delete_app(library, app_id)

    with library.transaction() as session:
        assert match(session, app_id, question) is None
    library.run_worker(wait=False)
    assert job_id is not None
    assert ended(library, job_id) == {
        "annotation_hits": 1, "annotation_settings": 1, "annotation_vectors": 3, "annotations": 3,
        "app_dataset_joins": 1, "apps": 1, "conversations": 4, "messages": 4,
    }  # fmt: skip
    assert run(library, tasks.clean_app, app_id) == {}
    with library.transaction() as session:
        assert set(everything(session)) == {"tenants", "datasets", "embeddings"}
    assert delete_app(library, app_id) is None


def test_a_row_that_cannot_go_is_named_and_the_job_ends(
    library: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removal, "CLEAN_ROWS", 2)
    with library.transaction() as session:
        app = make_app(session, messages=5)
        app_id = app.id
        held = session.scalar(select(func.min(Message.id)))
        session.execute(
            text("CREATE TABLE public.quotes (message_id bigint REFERENCES taskhub_kb.messages)")
        )
        session.execute(text(f"INSERT INTO public.quotes VALUES ({held})"))

    deferred = tasks.clean_app.options(autocommit=True).defer(app_id)
    library.run_worker(wait=False)

    assert deferred.status() is Status.FAILED
    [attempt] = deferred.attempts()
    assert attempt.error_message is not None
    assert f"messages ({held},)" in attempt.error_message
    assert "violates foreign key constraint" in attempt.error_message
    with library.transaction() as session:
        assert session.scalars(select(Message.id)).all() == [held]


def test_old_messages_and_hits_go_and_annotations_stay(library: Hub) -> None:
    with library.transaction() as session:
        make_app(session, annotations=1, messages=4)
        annotation = session.scalars(select(Annotation)).one()
        messages = session.scalars(select(Message).order_by(Message.id)).all()
        annotation.message_id = messages[0].id
        old = func.now() - func.make_interval(0, 0, 0, 60)
        for message in messages[:3]:
            message.created_at = old
        session.flush()
        session.execute(update(Conversation).values(created_at=old))
        kept = messages[3].id

    assert run(library, tasks.clean_messages) == {}
    assert run(library, tasks.clean_messages, 30) == {"conversations": 3, "messages": 3}
    assert run(library, tasks.clean_messages, 30) == {}

    with library.transaction() as session:
        assert session.scalars(select(Message.id)).all() == [kept]
        assert session.scalars(select(Annotation.message_id)).all() == [None]


def test_old_embeddings_go_from_the_cache_and_no_vector_with_them(
    library: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "CACHE_ROWS", 2)
    with library.transaction() as session:
        make_indexed(session, make_dataset(session), *(f"Otter {n} swims." for n in range(5)))
        session.execute(
            update(Embedding)
            .where(Embedding.sha256 != select(func.min(Embedding.sha256)).scalar_subquery())
            .values(created_at=func.now() - func.make_interval(0, 0, 0, 31))
        )

    assert run(library, tasks.clean_embedding_cache, 0) == {"embeddings": 0}
    assert run(library, tasks.clean_embedding_cache) == {"embeddings": 4}
    assert run(library, tasks.clean_embedding_cache) == {"embeddings": 0}

    with library.transaction() as session:
        assert everything(session)["vectors"] == 5


def aged(session: Session, dataset: Dataset, days: int) -> None:
    """Let the dataset and its documents have been made so long ago."""
    long_ago = func.now() - func.make_interval(0, 0, 0, days)
    session.execute(update(Dataset).where(Dataset.id == dataset.id).values(created_at=long_ago))
    session.execute(
        update(Document).where(Document.dataset_id == dataset.id).values(created_at=long_ago)
    )


def test_unused_datasets_are_disabled_once_and_noted_for_their_owner(
    library: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "DISABLE_DOCUMENTS", 2)
    with library.transaction() as session:
        unused, searched, fed, new = (make_dataset(session) for _ in range(4))
        for dataset in (unused, searched, fed, new):
            for n in range(3):
                make_indexed(session, dataset, f"Otter {n} swims.")
        for dataset in (unused, searched, fed):
            aged(session, dataset, 40)
        search(session, "Otters", [searched.id])
        make_indexed(session, fed, "Badgers dig.")
        unused_id = unused.id
        assert unused_datasets.count(session, 30) == {"datasets": 1, "documents": 3}

    assert run(library, tasks.clean_unused_datasets) == {"datasets": 0, "documents": 0}
    assert run(library, tasks.clean_unused_datasets, 30) == {"datasets": 1, "documents": 3}
    assert run(library, tasks.clean_unused_datasets, 30) == {"datasets": 0, "documents": 0}

    with library.transaction() as session:
        disabled = session.execute(
            select(Document.dataset_id, func.count())
            .where(~Document.enabled)
            .group_by("dataset_id")
        ).all()
        noted = session.scalars(select(DatasetAutoDisabled)).all()
        assert [tuple(row) for row in disabled] == [(unused_id, 3)]
        assert {(row.dataset_id, row.notified_at) for row in noted} == {(unused_id, None)}


def test_a_document_that_was_enabled_again_is_left_in_peace(library: Hub) -> None:
    with library.transaction() as session:
        dataset = make_dataset(session)
        for n in range(2):
            make_indexed(session, dataset, f"Otter {n} swims.")
        aged(session, dataset, 40)
    run(library, tasks.clean_unused_datasets, 30)
    with library.transaction() as session:
        enabled = session.scalar(select(func.min(Document.id)))
        session.execute(update(Document).where(Document.id == enabled).values(enabled=True))

    assert run(library, tasks.clean_unused_datasets, 30) == {"datasets": 0, "documents": 0}

    with library.transaction() as session:
        assert session.scalars(select(Document.id).where(Document.enabled)).all() == [enabled]


def test_a_dry_run_counts_what_goes(library: Hub) -> None:
    with library.transaction() as session:
        app = make_app(session, annotations=2, messages=2)
        app_id, kind = app.id, kinds.owned(kinds.table("apps"), [app.id])
        counted = batches.count(session, kind)

    gone = run(library, tasks.clean_app, app_id)

    assert gone == {name: number for name, number in counted.items() if number}
    with library.transaction() as session:
        assert session.scalar(select(func.count()).select_from(App)) == 0
        assert session.scalar(select(func.count()).select_from(AnnotationVector)) == 0
