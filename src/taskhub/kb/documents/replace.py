"""Build a new version of a document beside it, and put it in its place when it is whole."""

from collections.abc import Callable, Sequence
from pathlib import Path

from sqlalchemy import Select, delete, exists, insert, literal, select, update
from sqlalchemy.orm import Session

from taskhub.kb.datasets.models import Dataset
from taskhub.kb.documents import stages
from taskhub.kb.documents.add import add
from taskhub.kb.documents.failures import BadDocument, Problem
from taskhub.kb.documents.models import Document, DocumentPart, DocumentState
from taskhub.kb.documents.switches import listed
from taskhub.kb.segments.edits import SegmentEdit
from taskhub.kb.segments.models import ChildSegment, Segment

# What a document is, and what its owner has said of it, whatever its file says.
_IS = frozenset({
    "id", "dataset_id", "tenant_id", "batch_id", "created_at", "enabled", "archived", "job_id",
    "replaces_id", "deleted_at",
})  # fmt: skip
# Said of the document, and so of its next version too.
_SAID = frozenset({"process_rule", "metadata"})
# What a version has of its file, before anything of it was read.
_OF_FILE = ("name", "source", "format", "media_type", "bytes", "sha256")
_OF_SOURCE = ("source_etag", "source_modified", "synced_at")


class Same(Exception):
    """The file is the one that the document has; nothing needs to be done."""


def from_file(
    session: Session,
    document: Document,
    path: Path,
    *,
    name: str | None = None,
    source: str | None = None,
    max_file_bytes: int,
) -> Document:
    """A new version of the document, with the file at `path` stored; it waits to be indexed.

    In the caller's transaction, which is to be rolled back on an error.

    Raises:
        Same: the file is the document's, which is completed.
        BadDocument: the file cannot be used; the document stays as it is.
    """
    dataset = session.get_one(Dataset, document.dataset_id)
    new = add(session, dataset, path, name=name, max_file_bytes=max_file_bytes)
    if new.state is DocumentState.ERROR:
        raise BadDocument(Problem(new.error_kind or ""), new.error or "")
    if (new.sha256, new.format) == (document.sha256, document.format) and _is_whole(document):
        raise Same
    if source is not None:
        new.source = source
    return _beside(session, document, new)


def from_itself(session: Session, document: Document) -> Document:
    """A new version out of the file that is stored; for when the rules changed, not the file.

    Raises:
        BadDocument: no file is stored.
    """
    if document.format is None:
        raise BadDocument(
            Problem(document.error_kind or Problem.MISSING), "no file of the document is stored"
        )
    new = Document(
        dataset_id=document.dataset_id,
        tenant_id=document.tenant_id,
        **{name: getattr(document, name) for name in (*_OF_FILE, *_OF_SOURCE)},
    )
    session.add(new)
    session.flush()
    copied = select(literal(new.id), DocumentPart.number, DocumentPart.content).where(
        DocumentPart.document_id == document.id
    )
    session.execute(insert(DocumentPart).from_select(["document_id", "number", "content"], copied))
    return _beside(session, document, new)


def _beside(session: Session, document: Document, new: Document) -> Document:
    new.replaces_id = document.id
    new.enabled = False
    for key in _keys_of(lambda name: name in _SAID):
        setattr(new, key, getattr(document, key))
    session.flush()
    return new


def _is_whole(document: Document) -> bool:
    return document.state is DocumentState.COMPLETED and document.error is None


def versions(document_id: int) -> Select[Document]:
    """The new versions of a document that are being built, or failed, the newest first."""
    return select(Document).where(Document.replaces_id == document_id).order_by(Document.id.desc())


def versions_of(document_ids: Sequence[int]) -> Select[int]:
    """The ids of the new versions of these documents."""
    return select(Document.id).where(Document.replaces_id.in_(document_ids))


def overtaken(new: Document) -> Select[Document]:
    """The versions of the same document that were begun before `new`."""
    return select(Document).where(Document.replaces_id == new.replaces_id, Document.id < new.id)


def replaceable(dataset_id: int) -> Select[int]:
    """The ids of a dataset's documents of which a file is stored and which are not put away."""
    return (
        select(Document.id)
        .where(
            Document.dataset_id == dataset_id,
            Document.format.is_not(None),
            Document.archived.is_(False),
            listed(),
        )
        .order_by(Document.id)
    )


def take_over(session: Session, document_id: int, new_id: int) -> bool:
    """Give the document what its whole new version has, in one step for whoever searches.

    What the document had goes to the new version's row, for `discard` to take away. False if there
    is nothing to do: taken over before, not whole, or a newer version was begun. In the caller's
    transaction; writes each segment of both once.
    """
    document = stages.load(session, document_id)
    new = session.get(Document, new_id, with_for_update=True, populate_existing=True)
    if new is None or new.state is not DocumentState.COMPLETED or new.replaces_id != document_id:
        return False
    if session.scalar(
        select(exists().where(Document.replaces_id == document_id, Document.id > new_id))
    ):
        return False
    # What waited to be written into the old segments has nothing to be written into any more.
    session.execute(
        delete(SegmentEdit).where(
            SegmentEdit.document_id == document_id, SegmentEdit.segment_id.is_not(None)
        )
    )
    _swap(session, document_id, new_id)
    _copy(document, new)
    new.state = DocumentState.WAITING  # so that a second call finds nothing to do
    new.sha256 = new.format = None
    session.flush()
    return True


def _swap(session: Session, document_id: int, new_id: int) -> None:
    # A place is unique in its document at any moment, so those that leave go below zero.
    for model, place in ((Segment, Segment.position), (DocumentPart, DocumentPart.number)):
        session.execute(
            update(model)
            .where(model.document_id == document_id)
            .values({"document_id": new_id, place.key: -1 - place}),
            execution_options={"synchronize_session": False},
        )
        session.execute(
            update(model)
            .where(model.document_id == new_id, place >= 0)
            .values(document_id=document_id),
            execution_options={"synchronize_session": False},
        )

    # Children go with their segments, whose places they do not share.
    owner = select(Segment.document_id).where(Segment.id == ChildSegment.segment_id)
    session.execute(
        update(ChildSegment)
        .where(ChildSegment.document_id.in_((document_id, new_id)))
        .values(document_id=owner.scalar_subquery()),
        execution_options={"synchronize_session": False},
    )


def _copy(document: Document, new: Document) -> None:
    for key in _keys_of(lambda name: name not in _IS | _SAID):
        setattr(document, key, getattr(new, key))


def _keys_of(is_wanted: Callable[[str], bool]) -> list[str]:
    """The attributes of a document whose columns are wanted; an attribute may be named otherwise."""
    attributes = Document.__mapper__.column_attrs
    return [each.key for each in attributes if is_wanted(str(each.columns[0].name))]


def drop(session: Session, new_id: int) -> None:
    """Delete a new version, whose segments are gone, with the parts of its file."""
    session.execute(
        delete(Document).where(Document.id == new_id, Document.replaces_id.is_not(None))
    )
