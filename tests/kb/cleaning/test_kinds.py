"""What belongs to whom is read from the tables, so this says what was read."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from taskhub.kb.annotations.models import Annotation
from taskhub.kb.cleaning.batches import count
from taskhub.kb.cleaning.kinds import owned, table
from taskhub.kb.datasets.models import Dataset
from tests.kb.makers import make_app, make_indexed


def test_what_is_owned_comes_before_its_owner() -> None:
    for root in ("datasets", "documents", "apps"):
        tables = [kind.table for kind in owned(table(root), [1])]

        assert tables[-1] is table(root)
        for place, each in enumerate(tables):
            owners = {key.column.table for key in each.foreign_keys if key.column.table in tables}
            assert all(tables.index(owner) > place for owner in owners - {each})


def test_a_dataset_owns_its_documents_and_not_its_tenant() -> None:
    names = {kind.table.name for kind in owned(table("datasets"), [1])}

    assert {"segments", "documents", "document_parts", "app_dataset_joins"} <= names
    assert not {"tenants", "apps", "embeddings"} & names


def test_an_app_owns_its_annotations_with_and_without_a_message() -> None:
    names = {kind.table.name for kind in owned(table("apps"), [1])}

    assert names >= {
        "messages", "conversations", "annotations", "annotation_vectors", "annotation_hits",
        "annotation_settings", "annotation_imports", "annotation_import_rows", "app_dataset_joins",
    }  # fmt: skip
    assert "datasets" not in names


def test_a_document_owns_the_vectors_of_its_segments_alone(
    session: Session, dataset: Dataset
) -> None:
    ours = make_indexed(session, dataset, "Otters swim.", "Otters eat.")
    make_indexed(session, dataset, "Badgers dig.")

    counts = count(session, owned(table("documents"), [ours.id]))

    assert {kind: n for kind, n in counts.items() if n} == {
        "documents": 1, "parts": 1, "segments": 2, "vectors": 2,
    }  # fmt: skip


def test_an_annotation_outlives_its_message(session: Session) -> None:
    app = make_app(session, annotations=1, messages=1)
    annotation = session.scalars(select(Annotation)).one()
    annotation.message_id = session.scalar(select(table("messages").c.id))
    session.flush()

    kinds = owned(table("messages"), [annotation.message_id or 0])

    assert [kind.name for kind in kinds] == ["messages"]
    assert app.id == annotation.app_id
