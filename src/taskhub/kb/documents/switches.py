"""Switch documents on and off, put them away and back; a search sees it with the commit."""

from collections.abc import Iterable

from sqlalchemy import ColumnElement, and_, select, update
from sqlalchemy.orm import Session

from taskhub.kb.documents.failures import UnknownDocument
from taskhub.kb.documents.models import Document


class ArchivedDocument(ValueError):
    """The document was put away: it stays as it is until it is taken back."""


def enable(session: Session, document_ids: Iterable[int], *, enabled: bool) -> set[int]:
    """Let a search find these documents, or not; the ids of those that are there.

    Nothing leaves an index: the search reads the flag itself, in the statement that finds. So it
    counts at once, costs one row, and cannot fail half-way.
    """
    return _set(session, document_ids, {"enabled": enabled})


def archive(session: Session, document_ids: Iterable[int], *, archived: bool) -> set[int]:
    """Put documents away, or take them back; the ids of those that are there.

    An archived document is not found and refuses changes. Its own switch stays as it was, so one
    that was off is off when it comes back.
    """
    return _set(session, document_ids, {"archived": archived})


def segments_of(session: Session, document_ids: Iterable[int]) -> dict[int, int]:
    """How many segments each of these documents has, those that are there."""
    rows = session.execute(
        select(Document.id, Document.segments_total).where(
            Document.id.in_(list(document_ids)), listed()
        )
    )
    return {row.id: row.segments_total for row in rows}


def _set(session: Session, document_ids: Iterable[int], flags: dict[str, bool]) -> set[int]:
    changed = session.scalars(
        update(Document)
        .where(Document.id.in_(list(document_ids)), listed())
        .values(**flags)
        .returning(Document.id)
    )
    return set(changed)


def listed() -> ColumnElement[bool]:
    """Whether a row of `documents` is one for people: not a version being made, not being deleted."""
    return and_(Document.replaces_id.is_(None), Document.deleted_at.is_(None))


def check_known(session: Session, document_id: int) -> Document:
    """The document of this id.

    Raises:
        UnknownDocument: there is none.
    """
    document = session.scalars(
        select(Document).where(Document.id == document_id, listed())
    ).one_or_none()
    if document is None:
        raise UnknownDocument(f"document {document_id} does not exist; it may have been deleted")
    return document


def check_changeable(session: Session, document_id: int) -> Document:
    """The document, if its text may be changed.

    Raises:
        UnknownDocument: there is none.
        ArchivedDocument: it was put away.
    """
    document = check_known(session, document_id)
    if document.archived:
        raise ArchivedDocument(
            f"document {document_id} is archived; run `taskhub document unarchive {document_id}` first"
        )
    return document
