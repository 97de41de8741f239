"""Give a document's segments their vectors, a batch at a time."""

from dataclasses import dataclass

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from taskhub.kb.documents.models import Document
from taskhub.kb.segments.models import Segment, SegmentState
from taskhub.kb.vectors.embed import NoVector, embed
from taskhub.kb.vectors.embedders import Embedder
from taskhub.kb.vectors.models import SegmentVector512

_TABLES = {512: SegmentVector512}


class UnknownWidth(LookupError):
    """There is no table for vectors of this width."""


@dataclass(frozen=True, slots=True)
class Indexed:
    """What one batch did; both 0 when no segment was waiting."""

    done: int
    left_out: int


def index(
    session: Session, document_id: int, model: Embedder | None, *, limit: int = 64
) -> Indexed:
    """Make the document's next `limit` waiting segments findable, in the caller's transaction.

    Without a model they are found by their words alone. A segment without a vector is left out:
    its state is `error`, with the reason.

    Raises:
        UnknownWidth: the model's vectors have no table.
    """
    waiting = session.execute(
        select(Segment.id, Segment.dataset_id, Segment.text)
        .where(Segment.document_id == document_id, Segment.state == SegmentState.WAITING)
        .order_by(Segment.position)
        .limit(limit)
        .with_for_update()
    ).all()
    if not waiting:
        return Indexed(0, 0)
    done = [row.id for row in waiting]
    if model is not None:
        results = embed(session, [row.text for row in waiting], model)
        done = []
        for row, result in zip(waiting, results, strict=True):
            if isinstance(result, NoVector):
                _leave_out(session, row.id, result.reason)
            else:
                _put(session, row.id, row.dataset_id, model, result)
                done.append(row.id)
    _count(session, document_id, done, len(waiting))
    return Indexed(len(done), len(waiting) - len(done))


def _count(session: Session, document_id: int, done: list[int], tried: int) -> None:
    session.execute(
        update(Segment)
        .where(Segment.id.in_(done))
        .values(state=SegmentState.COMPLETED, completed_at=func.now(), error=None)
    )
    session.execute(
        update(Document)
        .where(Document.id == document_id)
        .values(segments_done=Document.segments_done + tried)
    )


def _put(
    session: Session, segment_id: int, dataset_id: int, model: Embedder, vector: list[float]
) -> None:
    if model.width not in _TABLES:
        known = ", ".join(map(str, _TABLES))
        raise UnknownWidth(f"vectors must have a width of {known}, got {model.width}")
    new = insert(_TABLES[model.width]).values(
        segment_id=segment_id, dataset_id=dataset_id, model=model.name, vector=vector
    )
    session.execute(
        new.on_conflict_do_update(
            index_elements=["segment_id"],
            set_={"model": new.excluded.model, "vector": new.excluded.vector},
        )
    )


def _leave_out(session: Session, segment_id: int, reason: str) -> None:
    session.execute(
        update(Segment)
        .where(Segment.id == segment_id)
        .values(state=SegmentState.ERROR, error=reason)
    )
