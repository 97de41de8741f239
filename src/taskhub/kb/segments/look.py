"""A document's segments as a person looks at them."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from taskhub.kb.segments.edit import UnknownSegment
from taskhub.kb.segments.edits import SegmentEdit
from taskhub.kb.segments.models import Segment


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentLine:
    """One segment; `edited` says that a newer text waits until it can be found."""

    segment_id: int
    position: int
    state: str
    enabled: bool
    edited: bool
    tokens: int
    text: str
    answer: str | None
    error: str | None


def page(
    session: Session, document_id: int, *, after_position: int = -1, limit: int = 1000
) -> list[SegmentLine]:
    """A document's segments by position, from behind `after_position` on."""
    edited = exists().where(SegmentEdit.segment_id == Segment.id, SegmentEdit.error.is_(None))
    # The reason why a new text was refused goes before the reason why the old one was.
    refused = select(SegmentEdit.error).where(SegmentEdit.segment_id == Segment.id)
    rows = session.execute(
        select(Segment, edited.label("edited"), refused.scalar_subquery().label("refused"))
        .where(Segment.document_id == document_id, Segment.position > after_position)
        .order_by(Segment.position)
        .limit(limit)
    )
    return [
        SegmentLine(
            segment_id=segment.id,
            position=segment.position,
            state=segment.state.value,
            enabled=segment.enabled,
            edited=is_edited,
            tokens=segment.tokens,
            text=segment.text,
            answer=segment.answer,
            error=why or segment.error,
        )
        for segment, is_edited, why in rows
    ]


def known(session: Session, segment_ids: Iterable[int]) -> set[int]:
    """Those of the ids that are segments."""
    return set(session.scalars(select(Segment.id).where(Segment.id.in_(list(segment_ids)))))


def get(session: Session, segment_id: int) -> Segment:
    """The segment of this id.

    Raises:
        UnknownSegment: there is none.
    """
    segment = session.get(Segment, segment_id)
    if segment is None:
        raise UnknownSegment(
            f"segment {segment_id} does not exist; it was deleted, or its document indexed anew"
        )
    return segment
