"""Give a document's segments their vectors, a batch at a time: look, make, put."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from taskhub.kb.datasets.models import Dataset, Technique
from taskhub.kb.documents.models import Document
from taskhub.kb.segments.models import ChildSegment, Segment, SegmentState
from taskhub.kb.vectors.embed import Made, NoVector, cached, keep, key_of, make
from taskhub.kb.vectors.embedders import Embedder, embedder
from taskhub.kb.vectors.rows import VectorRow
from taskhub.kb.vectors.store import forget, store


@dataclass(frozen=True, slots=True)
class Indexed:
    """What one batch did; both 0 when no segment was waiting."""

    done: int
    left_out: int


@dataclass(frozen=True, slots=True)
class Part:
    """One text that gets a vector: of the segment itself (0), or of its n-th child."""

    segment_id: int
    part: int
    text: str
    key: str


@dataclass(slots=True)
class Batch:
    """Segments that wait, what is to be embedded for them, and what the cache knew.

    Attributes:
        missing: texts without a vector, by key: what `make` is to be given.
    """

    document_id: int
    dataset_id: int
    segment_ids: list[int]
    parts: list[Part]
    known: dict[str, Made] = field(default_factory=dict)

    @property
    def missing(self) -> dict[str, str]:
        return {part.key: part.text for part in self.parts if part.key not in self.known}

    def fill(self, session: Session, model: Embedder) -> None:
        """Know what the cache has of this model."""
        self.known = {**cached(session, [part.key for part in self.parts], model)}


def index(
    session: Session, document_id: int, model: Embedder | None, *, limit: int = 64
) -> Indexed:
    """Make the document's next `limit` waiting segments findable, in the caller's transaction.

    Without a model they are found by their words alone. A segment without a vector is left out:
    its state is `error`, with the reason. The model is called inside the transaction: where that
    takes long, use `waiting`, `make` and `put`.

    Raises:
        UnknownWidth: the model's vectors have no table.
    """
    batch = waiting(session, document_id, model, limit=limit)
    if batch is None:
        return Indexed(0, 0)
    made = make(batch.missing, model) if model is not None else {}
    return put(session, batch, made, model)


def waiting(
    session: Session, document_id: int, model: Embedder | None, *, limit: int = 64
) -> Batch | None:
    """The next segments that wait, with what the cache knows; None when none does."""
    rows = session.execute(
        select(Segment.id, Segment.dataset_id, Segment.text, Segment.sha256)
        .where(Segment.document_id == document_id, Segment.state == SegmentState.WAITING)
        .order_by(Segment.position)
        .limit(limit)
    ).all()
    if not rows:
        return None
    parts = parts_of(session, {row.id: (row.text, row.sha256) for row in rows})
    batch = Batch(document_id, rows[0].dataset_id, [row.id for row in rows], parts)
    if model is not None:
        batch.fill(session, model)
    return batch


def parts_of(session: Session, segments: Mapping[int, tuple[str, str]]) -> list[Part]:
    """What gets a vector for segments, given with texts and keys: their children if they have any."""
    children: dict[int, list[Part]] = {}
    rows = session.execute(
        select(
            ChildSegment.segment_id, ChildSegment.position, ChildSegment.text, ChildSegment.sha256
        )
        .where(ChildSegment.segment_id.in_(list(segments)))
        .order_by(ChildSegment.segment_id, ChildSegment.position)
    )
    for row in rows:
        part = Part(row.segment_id, row.position + 1, row.text, row.sha256)
        children.setdefault(row.segment_id, []).append(part)
    return [
        part
        for segment_id, (text, key) in segments.items()
        for part in children.get(segment_id, [Part(segment_id, 0, text, key)])
    ]


def put(
    session: Session, batch: Batch, made: Mapping[str, Made], model: Embedder | None
) -> Indexed:
    """Store what was made for a batch, fill the cache, and count it in the document's row.

    Segments that were changed or have gone meanwhile are left alone. In the caller's transaction,
    which holds the document.
    """
    still = set(
        session.scalars(
            select(Segment.id)
            .where(Segment.id.in_(batch.segment_ids), Segment.state == SegmentState.WAITING)
            .with_for_update()
        )
    )
    reasons: dict[int, str] = {}
    model, made = _of_now(session, batch, made, model)
    if model is not None:
        keep(session, made, model)
        reasons = _store(session, batch, {**batch.known, **made}, model, still)
    done = sorted(still - reasons.keys())
    for segment_id, reason in reasons.items():
        _leave_out(session, segment_id, reason)
    _count(session, batch.document_id, done, len(still))
    return Indexed(len(done), len(reasons))


def _of_now(
    session: Session, batch: Batch, made: Mapping[str, Made], model: Embedder | None
) -> tuple[Embedder | None, Mapping[str, Made]]:
    """The dataset's model of now, which stays until the commit, and the vectors it makes of the batch.

    The dataset may have changed to another one since the batch was looked for: its segments would
    be searched by a model that has no vector of them.
    """
    row = session.execute(
        select(Dataset.technique, Dataset.embedding_model, Dataset.next_model)
        .where(Dataset.id == batch.dataset_id)
        .with_for_update(read=True, key_share=True)
    ).one()
    name = None if row.technique is Technique.ECONOMY else row.embedding_model
    if row.next_model is not None:
        # They were made of the text that these segments had.
        forget(session, batch.segment_ids, keep=name)
    if name is None or (model is not None and model.name == name):
        return (None if name is None else model), made
    now = embedder(name)
    batch.fill(session, now)
    return now, make(batch.missing, now)


def _store(
    session: Session, batch: Batch, made: Mapping[str, Made], model: Embedder, still: set[int]
) -> dict[int, str]:
    """Put the vectors into the store; the segments that have none, with the reason."""
    rows: list[VectorRow] = []
    reasons: dict[int, str] = {}
    for part in batch.parts:
        if part.segment_id not in still:
            continue
        vector = made[part.key]
        if isinstance(vector, NoVector):
            reasons[part.segment_id] = vector.reason
        else:
            rows.append(VectorRow(part.segment_id, part.part, batch.dataset_id, vector))
    whole = [row for row in rows if row.segment_id not in reasons]
    store(session).put(session, model.name, whole)
    return reasons


def _count(session: Session, document_id: int, done: Sequence[int], tried: int) -> None:
    if done:
        session.execute(
            update(Segment)
            .where(Segment.id.in_(done))
            .values(state=SegmentState.COMPLETED, completed_at=func.now(), error=None)
            .execution_options(synchronize_session=False)
        )
    session.execute(
        update(Document)
        .where(Document.id == document_id)
        .values(segments_done=Document.segments_done + tried)
        .execution_options(synchronize_session=False)
    )


def _leave_out(session: Session, segment_id: int, reason: str) -> None:
    session.execute(
        update(Segment)
        .where(Segment.id == segment_id)
        .values(state=SegmentState.ERROR, error=reason)
        .execution_options(synchronize_session=False)
    )


def text_key(text: str) -> str:
    """The key of a text that no segment has, for a question."""
    return key_of(text)
