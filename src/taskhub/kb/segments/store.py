"""Write the segments of a document, a bounded number at a time."""

import hashlib
from collections.abc import Sequence

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.orm import Session

from taskhub.kb.documents.models import Document
from taskhub.kb.segments.models import Segment
from taskhub.kb.segments.split import Piece
from taskhub.kb.segments.words import CONFIGURATION, keywords, words


def store(session: Session, document: Document, pieces: Sequence[Piece], position: int) -> None:
    """Insert the pieces at `position` and following, and count them in the document's row."""
    for offset, piece in enumerate(pieces):
        session.execute(
            insert(Segment).values(
                document_id=document.id,
                dataset_id=document.dataset_id,
                position=position + offset,
                text=piece.text,
                tokens=piece.tokens,
                sha256=hashlib.sha256(piece.text.encode()).hexdigest(),
                keywords=keywords(piece.text),
                words=func.to_tsvector(CONFIGURATION, " ".join(words(piece.text))),
            )
        )
    session.execute(
        update(Document)
        .where(Document.id == document.id)
        .values(
            segments_total=Document.segments_total + len(pieces),
            tokens=Document.tokens + sum(piece.tokens for piece in pieces),
        )
    )


def discard(session: Session, document_id: int, limit: int) -> int:
    """Delete up to `limit` segments of a document with their vectors; how many, 0 when none is left."""
    doomed = (
        select(Segment.id)
        .where(Segment.document_id == document_id)
        .order_by(Segment.position)
        .limit(limit)
    )
    gone = session.execute(delete(Segment).where(Segment.id.in_(doomed)).returning(Segment.id))
    return len(gone.all())
