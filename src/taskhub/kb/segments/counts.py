"""What a document's row says of its segments."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from taskhub.kb.documents.failures import Problem
from taskhub.kb.documents.models import Document
from taskhub.kb.segments.models import Segment, SegmentState


def recount(session: Session, document: Document) -> None:
    """Make the document's counts those of its segments, and forget who was left out but is not now.

    The document's row must be locked, in the caller's transaction. Reads each of its segments.
    """
    total, tried, tokens, left_out, reason = session.execute(
        select(
            func.count(),
            func.count().filter(Segment.state != SegmentState.WAITING),
            func.coalesce(func.sum(Segment.tokens), 0),
            func.count().filter(Segment.state == SegmentState.ERROR),
            func.min(Segment.error),
        ).where(Segment.document_id == document.id)
    ).one()
    session.refresh(document)
    document.segments_total, document.segments_done, document.tokens = total, tried, tokens
    if document.error_kind == Problem.SEGMENTS_LEFT_OUT:
        still = f"{left_out} of {total} segments left out: {reason}"
        document.error = still if left_out else None
        document.error_kind = Problem.SEGMENTS_LEFT_OUT if left_out else None
    session.flush()
