"""Switch segments on and off, or take them out; a search sees it when the transaction commits."""

from collections.abc import Iterable

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from taskhub.kb.documents.models import Document
from taskhub.kb.segments.counts import recount
from taskhub.kb.segments.models import Segment


def switch(session: Session, segment_ids: Iterable[int], *, enabled: bool) -> set[int]:
    """Let a search find these segments, or not; the ids of those that are there.

    Nothing leaves an index: the flag is read by the search itself. The vectors stay, so switching
    on again costs nothing.
    """
    changed = session.scalars(
        update(Segment)
        .where(Segment.id.in_(list(segment_ids)))
        .values(enabled=enabled)
        .returning(Segment.id)
    )
    return set(changed)


def remove(session: Session, segment_ids: Iterable[int]) -> set[int]:
    """Delete segments with their vectors and what waits for them; the ids of those that were there.

    Positions of the others stay as they are.
    """
    wanted = list(segment_ids)
    documents = session.scalars(
        # In the order of ids, as everybody locks them.
        select(Document)
        .where(Document.id.in_(select(Segment.document_id).where(Segment.id.in_(wanted))))
        .order_by(Document.id)
        .with_for_update()
    ).all()
    gone = set(session.scalars(delete(Segment).where(Segment.id.in_(wanted)).returning(Segment.id)))
    for document in documents:
        recount(session, document)
    return gone
