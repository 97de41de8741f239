"""Imports leave when they are finished and old; what they made stays."""

from pathlib import Path

from sqlalchemy import func, select, text

from taskhub import Hub
from taskhub.kb.annotations.models import Annotation, AnnotationImport, AnnotationImportRow
from taskhub.kb.segments.edits import SegmentEdit, SegmentImport
from taskhub.kb.segments.models import Segment
from taskhub.kb.tasks import cleaning as tasks
from taskhub.kb.ways_in.annotations import import_annotations
from taskhub.kb.ways_in.segments import import_segments
from tests.kb.makers import make_app, make_dataset, make_indexed

MODELS = (
    Annotation, AnnotationImport, AnnotationImportRow, Segment, SegmentImport, SegmentEdit,
)  # fmt: skip


def counts(hub: Hub) -> dict[str, int]:
    with hub.transaction() as session:
        return {
            model.__tablename__: session.scalar(select(func.count()).select_from(model)) or 0
            for model in MODELS
        }


def aged(hub: Hub, days: int) -> None:
    for table, column in (
        ("annotation_imports", "created_at"),
        ("annotation_imports", "finished_at"),
        ("segment_imports", "created_at"),
    ):
        with hub.transaction() as session:
            session.execute(
                text(f"UPDATE taskhub_kb.{table} SET {column} = {column} - interval '{days} days'")
            )


def test_finished_imports_leave_after_their_days_and_unfinished_ones_stay(
    library: Hub, tmp_path: Path
) -> None:
    with library.transaction() as session:
        app_id = make_app(session).id
        document_id = make_indexed(session, make_dataset(session), "Otters swim.").id
    questions = b"question,answer\nWhere?,There.\nWhen?,Then.\nalone\n"
    (tmp_path / "rows.csv").write_text('text\nOtters sleep.\n"with, comma","more"\n')
    import_annotations(library, app_id, "a.csv", questions)
    import_segments(library, document_id, tmp_path / "rows.csv")
    library.run_worker(wait=False)
    made = counts(library)
    for queue in ("annotation", "indexing"):
        library.pause(queue=queue)
    import_annotations(library, app_id, "b.csv", b"question,answer\nWho?,They.\n")
    import_segments(library, document_id, tmp_path / "rows.csv")

    aged(library, 89)
    young = clean(library)
    aged(library, 2)
    gone = clean(library)

    assert young == {}
    assert gone == {
        "annotation_import_rows": 3, "annotation_imports": 1, "segment_edits": 1,
        "segment_imports": 1,
    }  # fmt: skip
    assert made["annotations"] == 2
    assert made["segments"] == 2
    assert counts(library) == {
        "annotations": 2, "annotation_imports": 1, "annotation_import_rows": 1,
        "segments": 2, "segment_imports": 1, "segment_edits": 2,
    }  # fmt: skip
    assert clean(library) == {}


def clean(hub: Hub) -> dict[str, int]:
    job = tasks.clean_messages.options(autocommit=True).defer()
    hub.run_worker(queues=["cleaning"], wait=False)
    return job.result(5)
