"""What is asked of segments, and deferred in the transaction that makes it necessary."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import insert
from sqlalchemy.orm import Session

from taskhub.kb.datasets.models import Dataset
from taskhub.kb.datasets.rule import rule_of
from taskhub.kb.documents import switches
from taskhub.kb.segments import edit, look
from taskhub.kb.segments import switches as segment_switches
from taskhub.kb.segments.edits import SegmentEdit, SegmentImport
from taskhub.kb.segments.import_csv import BadImport, Sheet, SheetLimits, read
from taskhub.kb.segments.rules import Mode
from taskhub.kb.tasks.segments import segment_indexing
from taskhub.queue import Hub


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """An import that was taken in: how many rows wait, and which lines cannot be used, and why."""

    import_id: int
    job_id: int | None
    rows: int
    bad: list[tuple[int, str]]


def add_segment(hub: Hub, document_id: int, text: str, *, answer: str | None = None) -> int:
    """Have a segment added behind the others of a document; the id of the job.

    Raises:
        UnknownDocument, ArchivedDocument: there is none to add to.
        BadSegment: the text is empty or too long.
    """
    cleaned = _checked(hub, text)
    with hub.transaction() as session:
        switches.check_changeable(session, document_id)
        told = None if answer is None else _checked(hub, answer)
        session.add(SegmentEdit(document_id=document_id, text=cleaned, answer=told))
        session.flush()
        return _defer(session, document_id)


def edit_segment(hub: Hub, segment_id: int, text: str, *, answer: str | None = None) -> int | None:
    """Have a segment get this text; the id of the job, None if it has it already.

    It is found by its old text until the new one can be found. Without an answer it keeps its own.

    Raises:
        UnknownSegment: there is none.
        ArchivedDocument: its document was put away.
        BadSegment: the text is empty or too long.
    """
    cleaned = _checked(hub, text)
    with hub.transaction() as session:
        segment = look.get(session, segment_id)
        switches.check_changeable(session, segment.document_id)
        told = segment.answer if answer is None else _checked(hub, answer)
        if not edit.ask_edit(session, segment, cleaned, told):
            return None
        return _defer(session, segment.document_id)


def enable_segments(hub: Hub, segment_ids: Iterable[int], *, enabled: bool) -> set[int]:
    """Let searches find these segments, or not, from the commit on; the ids of those there are."""
    with hub.transaction() as session:
        return segment_switches.switch(session, segment_ids, enabled=enabled)


def delete_segments(hub: Hub, segment_ids: Iterable[int]) -> set[int]:
    """Delete segments with their vectors and words, in one transaction; the ids of those that were there."""
    with hub.transaction() as session:
        return segment_switches.remove(session, segment_ids)


def import_segments(hub: Hub, document_id: int, path: str | Path) -> Imported:
    """Have the rows of a CSV file become segments of a document: texts, or questions and answers.

    All rows are stored with their import and its job in one transaction, or none. The lines that
    cannot be used are stored too, with their reasons. `import_status` says how far it is.

    Raises:
        UnknownDocument, ArchivedDocument: there is none to add to.
        BadImport: the file as a whole cannot be used.
    """
    settings = hub.settings
    limits = SheetLimits(
        max_bytes=settings.max_import_bytes,
        max_rows=settings.max_import_rows,
        max_characters=settings.max_segment_characters,
    )
    content = _content(Path(path), limits.max_bytes)
    with hub.transaction() as session:
        document = switches.check_changeable(session, document_id)
        rule = rule_of(session.get_one(Dataset, document.dataset_id), document)
        sheet = read(content, limits, with_answers=rule.mode is Mode.QA)
        made = _store(session, document_id, Path(path).name, sheet)
        if sheet.rows:
            made.job_id = _defer(session, document_id)
        return Imported(
            import_id=made.id,
            job_id=made.job_id,
            rows=len(sheet.rows),
            bad=[(row.line, row.reason) for row in sheet.bad],
        )


def _content(path: Path, max_bytes: int) -> bytes:
    try:
        with path.open("rb") as file:
            # One byte more is enough to know that it is too large.
            return file.read(max_bytes + 1)
    except OSError as error:
        raise BadImport(f"file could not be read: {error.strerror}") from error


def _store(session: Session, document_id: int, name: str, sheet: Sheet) -> SegmentImport:
    made = SegmentImport(
        document_id=document_id, name=name, rows_total=len(sheet.rows) + len(sheet.bad)
    )
    session.add(made)
    session.flush()
    belongs = {"document_id": document_id, "import_id": made.id}
    rows = [
        {**belongs, "line": r.line, "text": r.text, "answer": r.answer, "error": None}
        for r in sheet.rows
    ]
    rows += [
        {**belongs, "line": b.line, "text": "", "answer": None, "error": b.reason}
        for b in sheet.bad
    ]
    session.execute(insert(SegmentEdit), rows)
    return made


def _checked(hub: Hub, text: str) -> str:
    return edit.checked(text, hub.settings.max_segment_characters)


def _defer(session: Session, document_id: int) -> int:
    return segment_indexing.options(session=session).defer(document_id).id
