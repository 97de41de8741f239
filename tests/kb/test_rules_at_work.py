"""Every way of cutting, and a file that means harm, on a real worker."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from taskhub import Hub, app
from taskhub.accounts.tenants import ensure
from taskhub.kb.datasets import create
from taskhub.kb.documents import state
from taskhub.kb.segments.models import ChildSegment, Segment
from taskhub.kb.segments.rules import Mode, ProcessRule
from taskhub.kb.ways_in import documents
from taskhub.settings import Settings
from tests.kb.documents import hostile


@pytest.fixture
def library(settings: Settings) -> Iterator[Hub]:
    hub = app.build(settings)
    yield hub
    hub.close()


def indexed(library: Hub, rule: ProcessRule, *paths: Path) -> list[state.DocumentStatus]:
    """Where the files stand after a worker was there."""
    with library.transaction() as session:
        tenant = ensure(session, "test")
        dataset = create.create(session, tenant.id, "d", embedding_model="hash", rule=rule)
        dataset_id = dataset.id
    ids = [documents.add_document(library, dataset_id, path) for path in paths]
    library.run_worker(wait=False)
    with library.transaction() as session:
        return [state.status(session, document_id) for document_id in ids]


def test_rows_of_questions_are_indexed_with_their_answers(library: Hub, tmp_path: Path) -> None:
    table = tmp_path / "faq.xlsx"
    table.write_bytes(hostile.workbook(hostile.cells(["question", "answer"], ["why?", "so"])))

    (shown,) = indexed(library, ProcessRule(mode=Mode.QA), table)

    assert shown.shown == "completed"
    with library.transaction() as session:
        assert session.execute(select(Segment.text, Segment.answer)).one() == ("why?", "so")


def test_parents_are_indexed_with_their_children(library: Hub, tmp_path: Path) -> None:
    text = tmp_path / "a.txt"
    text.write_text("Otters swim well in every river. " * 40)

    (shown,) = indexed(library, ProcessRule(mode=Mode.PARENT_CHILD, child_tokens=50), text)

    assert shown.shown == "completed"
    with library.transaction() as session:
        assert len(session.scalars(select(Segment)).all()) == 1
        children = session.scalars(select(ChildSegment).order_by(ChildSegment.position)).all()
        assert len(children) > 4
        assert " ".join(child.text for child in children) == text.read_text().strip()


def test_a_file_that_means_harm_ends_as_a_limit_and_the_worker_goes_on(
    library: Hub, tmp_path: Path
) -> None:
    bomb, good = tmp_path / "bomb.docx", tmp_path / "good.txt"
    bomb.write_bytes(hostile.archive({"word/document.xml": bytes(50_000_000)}))
    good.write_text("Otters swim.")

    shown = indexed(library, ProcessRule(), bomb, good)

    assert shown[0].shown.startswith("failed: limit reached: compression ratio of the archive must")
    assert shown[0].error_kind == "limit"
    assert shown[1].shown == "completed"
