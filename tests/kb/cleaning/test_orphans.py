"""Foreign keys forbid most orphans; these tests take the keys away first, as a bad restore does."""

from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

from taskhub import Hub
from taskhub.kb.apps.models import App
from taskhub.kb.cleaning.orphans import left_behind, orphans
from taskhub.kb.datasets.models import Dataset
from taskhub.kb.documents.models import Document
from taskhub.kb.segments.models import Segment
from taskhub.kb.tasks.cleaning import clean_orphans
from taskhub.kb.vectors.store import store
from tests.kb.makers import make_app, make_dataset, make_indexed


def without_keys(session: Session) -> None:
    """Let rows lose their owners."""
    session.execute(text("SET LOCAL session_replication_role = replica"))


def test_a_healthy_database_has_none(session: Session, dataset: Dataset) -> None:
    make_indexed(session, dataset, "Otters swim.", "Otters eat.")
    make_app(session, annotations=2, messages=2)

    assert orphans(session) == {}


def test_rows_that_lost_their_owner_are_counted_by_table(
    session: Session, dataset: Dataset
) -> None:
    document = make_indexed(session, dataset, "Otters swim.", "Otters eat.")
    app = make_app(session, messages=3)
    without_keys(session)
    session.execute(text(f"DELETE FROM taskhub_kb.documents WHERE id = {document.id}"))
    session.execute(text(f"DELETE FROM taskhub_kb.apps WHERE id = {app.id}"))

    assert orphans(session) == {
        "conversations": 3, "document_parts": 1, "messages": 3, "segments": 2,
    }  # fmt: skip


def test_a_segment_in_another_dataset_than_its_document_is_counted(
    session: Session, dataset: Dataset
) -> None:
    make_indexed(session, dataset, "Otters swim.", "Otters eat.")
    other = make_dataset(session)
    session.execute(
        update(Segment)
        .where(Segment.id == select(func.min(Segment.id)).scalar_subquery())
        .values(dataset_id=other.id)
    )

    kept_in = "vectors_512" if store(session).name == "pgvector" else "vectors_exact"
    assert orphans(session) == {kept_in: 1, "segments": 1}


def test_what_was_deleted_long_ago_and_is_still_there_is_counted(session: Session) -> None:
    datasets = [make_dataset(session) for _ in range(3)]
    document = make_indexed(session, datasets[2], "Otters swim.")
    make_indexed(session, datasets[0], "Otters swim.").deleted_at = func.now()
    long_ago = func.now() - func.make_interval(0, 0, 0, 0, 2)
    datasets[0].deleted_at = long_ago
    datasets[1].deleted_at = func.now()
    document.deleted_at = long_ago
    session.flush()

    found = left_behind(session)

    assert (found.dataset_ids, found.document_ids) == ([datasets[0].id], [document.id])
    assert orphans(session) == {"deleted datasets": 1, "deleted documents": 1}


def test_orphans_are_cleaned_to_the_last_one(library: Hub) -> None:
    with library.transaction() as session:
        gone = make_indexed(session, make_dataset(session), "Otters swim.", "Otters eat.")
        kept = make_indexed(session, make_dataset(session), "Badgers dig.").id
        left = make_app(session, annotations=2, messages=2)
        left.deleted_at = func.now() - func.make_interval(0, 0, 0, 0, 2)
        session.flush()
        without_keys(session)
        session.execute(text(f"DELETE FROM taskhub_kb.documents WHERE id = {gone.id}"))

    job = clean_orphans.options(autocommit=True).defer()
    library.run_worker(wait=False)

    result = job.result(5)
    assert result["segments"] == 2
    assert result["cleaned again"] == 1
    with library.transaction() as session:
        assert orphans(session) == {}
        assert session.scalars(select(Document.id)).all() == [kept]
        assert session.scalar(select(func.count()).select_from(App)) == 0
