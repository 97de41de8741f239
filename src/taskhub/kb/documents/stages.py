"""A document's way from waiting to completed; each step is one UPDATE of the caller's transaction."""

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from taskhub.kb.datasets.models import Dataset
from taskhub.kb.documents.failures import BadDocument, Problem, UnknownDocument
from taskhub.kb.documents.models import Document, DocumentState
from taskhub.kb.segments.models import Segment, SegmentState


def load(session: Session, document_id: int) -> Document:
    """The document's row, locked until the transaction ends, so that pause and work take turns.

    Raises:
        UnknownDocument: it was deleted, or its dataset is being deleted.
    """
    document = session.scalars(
        select(Document)
        .join(Dataset, Dataset.id == Document.dataset_id)
        .where(
            Document.id == document_id,
            Document.deleted_at.is_(None),
            Dataset.deleted_at.is_(None),
        )
        .with_for_update(of=Document)
        .execution_options(populate_existing=True)
    ).one_or_none()
    if document is None:
        raise UnknownDocument(
            f"document {document_id} does not exist; it or its dataset was deleted"
        )
    return document


def enter(session: Session, document: Document, state: DocumentState) -> None:
    """Move the document to a stage and note the time."""
    document.state = state
    setattr(document, f"{state.value}_at", func.now())
    session.flush()


def start(session: Session, document: Document) -> None:
    """Begin at the file, or go on with the missing vectors if the segments are whole."""
    document.error = document.error_kind = document.error_at = document.completed_at = None
    if document.indexing_at is None:
        document.segments_total = document.segments_done = document.tokens = document.characters = 0
        enter(session, document, DocumentState.PARSING)
        return
    # A segment that was left out is tried again.
    tried = session.execute(
        update(Segment)
        .where(Segment.document_id == document.id, Segment.state == SegmentState.ERROR)
        .values(state=SegmentState.WAITING, error=None)
        .returning(Segment.id)
    ).all()
    document.segments_done -= len(tried)
    document.state = DocumentState.INDEXING
    session.flush()


def complete(session: Session, document: Document) -> None:
    """Every segment was tried: completed, or in error if none of them can be found."""
    count, reason = session.execute(
        select(func.count(), func.min(Segment.error)).where(
            Segment.document_id == document.id, Segment.state == SegmentState.ERROR
        )
    ).one()
    if count == document.segments_total:
        raise BadDocument(Problem.NOT_EMBEDDED, f"no segment could be embedded: {reason}")
    if count:
        document.error = f"{count} of {document.segments_total} segments left out: {reason}"
        document.error_kind = Problem.SEGMENTS_LEFT_OUT
    enter(session, document, DocumentState.COMPLETED)


def fail(session: Session, document: Document, problem: BadDocument) -> None:
    """Record why the document cannot be used."""
    document.error = str(problem)
    document.error_kind = problem.kind
    enter(session, document, DocumentState.ERROR)


def pause(session: Session, document: Document) -> bool:
    """Stop the work on a document after its current batch; False if it is not under way."""
    if document.state in (DocumentState.COMPLETED, DocumentState.ERROR, DocumentState.PAUSED):
        return False
    enter(session, document, DocumentState.PAUSED)
    return True


def resume(session: Session, document: Document) -> None:
    """Have the next job go on from where the document stands."""
    document.paused_at = None
    document.state = DocumentState.WAITING
    session.flush()


def begin_again(session: Session, document: Document) -> None:
    """Have the next job begin at the file, even if the document is completed."""
    document.indexing_at = document.completed_at = None
    document.error = document.error_kind = document.error_at = None
    resume(session, document)
