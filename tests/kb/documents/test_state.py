from datetime import timedelta

import pytest
from sqlalchemy import func, text
from sqlalchemy.orm import Session

from taskhub.kb.datasets.models import Dataset
from taskhub.kb.documents.add import add
from taskhub.kb.documents.failures import UnknownDocument
from taskhub.kb.documents.models import DocumentState
from taskhub.kb.documents.state import status, statuses


def make_job(session: Session, job_status: str, *, minutes: float | None = None) -> int:
    job_id = session.scalar(
        text("""
            INSERT INTO taskhub.procrastinate_jobs
                (queue_name, task_name, priority, args, status, scheduled_at)
            VALUES ('indexing', 'document_indexing', 0, '{}',
                CAST(:status AS taskhub.procrastinate_job_status), now() + CAST(:wait AS interval))
            RETURNING id
        """),
        {
            "status": job_status,
            "wait": None if minutes is None else timedelta(minutes=minutes),
        },
    )
    assert job_id is not None
    return int(job_id)


@pytest.mark.parametrize(
    ("state", "job", "condition", "shown"),
    [
        ("waiting", "todo", "waiting", "waiting for a worker"),
        ("waiting", "doing", "working", "starting"),
        ("parsing", "doing", "working", "parsing"),
        ("splitting", "doing", "working", "splitting, 10 so far"),
        ("indexing", "doing", "working", "indexing 3/10"),
        ("indexing", "aborting", "working", "stopping"),
        ("indexing", "todo", "interrupted", "interrupted at indexing, waiting for a worker"),
        ("indexing", "failed", "failed", "failed: job {job} failed; see `taskhub show {job}`"),
        ("indexing", "cancelled", "cancelled", "cancelled at indexing"),
        ("indexing", "aborted", "cancelled", "cancelled at indexing"),
        ("indexing", None, "interrupted", "interrupted at indexing, has no job"),
        ("error", "failed", "failed", "failed: empty file"),
        ("error", "todo", "failed", "failed: empty file; will be tried again"),
        ("error", "doing", "working", "starting again"),
        ("paused", None, "paused", "paused at 3/10"),
        ("completed", None, "completed", "completed"),
    ],
)
def test_what_is_shown_follows_the_job(  # noqa: PLR0917 - fixtures and parameters
    session: Session,
    dataset: Dataset,
    state: str,
    job: str | None,
    condition: str,
    shown: str,
) -> None:
    document = add(session, dataset, name="a.txt", content=b"x")
    document.state = DocumentState(state)
    document.error = "empty file" if state == "error" else None
    document.segments_done, document.segments_total = 3, 10
    document.job_id = make_job(session, job) if job else None
    session.flush()

    found = status(session, document.id)

    assert (found.condition, found.shown) == (condition, shown.format(job=document.job_id))


def test_an_unfinished_document_whose_job_left_the_table_is_interrupted(
    session: Session, dataset: Dataset
) -> None:
    document = add(session, dataset, name="a.txt", content=b"x")
    document.state, document.job_id = DocumentState.INDEXING, 123_456_789
    session.flush()

    found = status(session, document.id)

    assert found.shown == "interrupted at indexing, job 123456789 is gone"


def test_a_document_whose_job_waits_to_be_retried_says_when(
    session: Session, dataset: Dataset
) -> None:
    document = add(session, dataset, name="a.txt", content=b"x")
    document.state = DocumentState.INDEXING
    document.job_id = make_job(session, "todo", minutes=10)
    session.flush()
    now = session.scalar(func.now())
    assert now is not None

    found = status(session, document.id)

    by = f"{now + timedelta(minutes=10):%H:%M}"
    assert found.shown == f"interrupted at indexing, resumes by {by} UTC"


def test_a_datasets_documents_come_page_by_page(session: Session, dataset: Dataset) -> None:
    ids = [add(session, dataset, name=f"{n}.txt", content=b"x").id for n in range(5)]

    first = statuses(session, dataset.id, limit=3)
    rest = statuses(session, dataset.id, after_id=first[-1].document_id, limit=3)

    assert [found.document_id for found in (*first, *rest)] == ids


def test_an_unknown_document_has_no_state(session: Session) -> None:
    with pytest.raises(UnknownDocument, match="document 0 does not exist"):
        status(session, 0)
