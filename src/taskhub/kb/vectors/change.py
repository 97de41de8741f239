"""Another model for a dataset: its vectors grow beside the old ones, then all change at once."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, delete, exists, func, select, update
from sqlalchemy.orm import Session

from taskhub.kb.datasets.create import UnknownDataset
from taskhub.kb.datasets.models import Dataset, Technique
from taskhub.kb.segments.models import Segment, SegmentState
from taskhub.kb.vectors.embed import Made, NoVector, cached, keep
from taskhub.kb.vectors.embedders import Embedder
from taskhub.kb.vectors.index import Part, parts_of
from taskhub.kb.vectors.models import Embedding, SegmentRefusal
from taskhub.kb.vectors.refusals import forget_refusals, is_refused, refuse, table_of
from taskhub.kb.vectors.rows import VectorRow
from taskhub.kb.vectors.store import store

# Segments that are done with; those that wait get their vectors from the job of their document.
_DONE = (SegmentState.COMPLETED, SegmentState.ERROR)


class Superseded(Exception):
    """Another change of the dataset's model was asked for, or its removal: this one is over."""


class NotYet(Exception):
    """Segments came or changed while the last ones were built: their vectors are still lacking."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a change of model would do: segments, and how many of their texts the cache has not."""

    segments: int
    tokens: int
    to_embed: int
    to_remove: int


@dataclass(frozen=True, slots=True)
class Lacking:
    """Segments whose vectors are lacking, up to the id `last`, and what the cache knows of them."""

    parts: list[Part]
    sha256s: dict[int, str]
    known: dict[str, Made]
    tokens: int
    last: int

    @property
    def missing(self) -> dict[str, str]:
        """Texts to be embedded, by key: what `make` is to be given."""
        return {part.key: part.text for part in self.parts if part.key not in self.known}


def plan(session: Session, dataset_id: int, model: Embedder | None) -> Plan:
    """Counts for who wants to know before; None stands for words alone."""
    dataset = _dataset(session, dataset_id)
    done = (Segment.dataset_id == dataset_id, Segment.state.in_(_DONE))
    segments, tokens = session.execute(
        select(func.count(), func.coalesce(func.sum(Segment.tokens), 0)).where(*done)
    ).one()
    if model is None:
        to_remove = store(session).count(session, dataset_id, dataset.embedding_model)
        return Plan(segments=segments, tokens=tokens, to_embed=0, to_remove=to_remove)
    is_known = exists().where(Embedding.model == model.name, Embedding.sha256 == Segment.sha256)
    is_other = dataset.embedding_model != model.name
    to_embed = select(func.count(Segment.sha256.distinct())).where(*done)
    return Plan(
        segments=segments,
        tokens=tokens,
        to_embed=session.scalar(to_embed.where(~is_known) if is_other else to_embed) or 0,
        to_remove=store(session).count(session, dataset_id, dataset.embedding_model) * is_other,
    )


def begin(session: Session, dataset_id: int, model: Embedder) -> None:
    """Have a dataset's vectors built with this model; with its present one, all are built anew.

    Raises:
        UnknownDataset: there is none, or it is being deleted.
        UnknownWidth: the model's vectors have no table.
    """
    table_of(session, model)
    dataset = _dataset(session, dataset_id, for_update=True)
    dataset.next_model, dataset.built_to = model.name, 0
    forget_refusals(session, dataset_id)
    session.flush()


def to_words(session: Session, dataset_id: int) -> None:
    """Have a dataset be found by its words alone, from the commit on; its vectors may then go.

    Raises:
        UnknownDataset: there is none, or it is being deleted.
    """
    # Segments before their dataset, in every transaction: so none waits for one that waits for it.
    session.execute(
        update(Segment)
        .where(Segment.dataset_id == dataset_id, Segment.state == SegmentState.ERROR)
        .values(state=SegmentState.COMPLETED, error=None, completed_at=func.now())
        .execution_options(synchronize_session=False)
    )
    dataset = _dataset(session, dataset_id, for_update=True)
    dataset.technique, dataset.next_model, dataset.built_to = Technique.ECONOMY, None, 0
    session.flush()


def place(session: Session, dataset_id: int) -> tuple[int, int]:
    """How many of a dataset's segments a round has passed, and how many there are."""
    passed = func.count().filter(Segment.id <= Dataset.built_to)
    query = (
        select(passed, func.count())
        .join(Dataset, Dataset.id == Segment.dataset_id)
        .where(Segment.dataset_id == dataset_id)
    )
    passed_of_all, total = session.execute(query).one()
    return passed_of_all, total


def lacking(session: Session, dataset_id: int, model: Embedder, *, limit: int) -> Lacking | None:
    """The next segments that the model's vectors are lacking of; None at the end of a round.

    A round goes by the segments' ids, from the place at which the last batch was put.
    """
    dataset = _under_way(session, dataset_id, model)
    rows = session.execute(
        select(Segment.id, Segment.text, Segment.sha256, Segment.tokens)
        .where(
            Segment.dataset_id == dataset_id,
            Segment.id > dataset.built_to,
            _lacks(session, model, anew=dataset.next_model == dataset.embedding_model),
        )
        .order_by(Segment.id)
        .limit(limit)
    ).all()
    if not rows:
        return None
    parts = parts_of(session, {row.id: (row.text, row.sha256) for row in rows})
    is_anew = dataset.next_model == dataset.embedding_model
    known = {} if is_anew else cached(session, [part.key for part in parts], model)
    sha256s = {row.id: row.sha256 for row in rows}
    return Lacking(parts, sha256s, {**known}, sum(row.tokens for row in rows), rows[-1].id)


def put_beside(
    session: Session, dataset_id: int, batch: Lacking, made: Mapping[str, Made], model: Embedder
) -> int:
    """Store a batch's vectors beside those that are searched; how many segments have none.

    A segment whose text changed meanwhile is left for the next round.

    Raises:
        Superseded: another change was asked for.
    """
    unchanged = _unchanged(session, batch)
    dataset = _under_way(session, dataset_id, model)
    if dataset.next_model == dataset.embedding_model:
        # The cache has what the model once said of these texts; it was asked anew.
        _forget_texts(session, made, model)
    keep(session, made, model)
    vectors = {**batch.known, **made}
    rows: list[VectorRow] = []
    refusals: dict[int, str] = {}
    for part in batch.parts:
        vector = vectors[part.key]
        if part.segment_id not in unchanged:
            continue
        if isinstance(vector, NoVector):
            refusals[part.segment_id] = vector.reason
        else:
            rows.append(VectorRow(part.segment_id, part.part, dataset_id, vector))
    whole = [row for row in rows if row.segment_id not in refusals]
    store(session).put(session, model.name, whole)
    refuse(session, model, batch.sha256s, refusals)
    dataset.built_to = batch.last
    session.flush()
    return len(refusals)


def begin_round(session: Session, dataset_id: int, model: Embedder) -> None:
    """Go back to the first segment, for those that came or changed since."""
    _under_way(session, dataset_id, model).built_to = 0
    session.flush()


def switch(session: Session, dataset_id: int, model: Embedder) -> int:
    """Search with the new model from the commit on; the old vectors may then go.

    A segment of which the new model made no vector becomes an error, with the reason; how many do.
    One that only now has a vector is found again.

    Raises:
        NotYet: some segment lacks its vector; roll back, build it, and try again.
        Superseded: another change was asked for.
    """
    mine = Segment.dataset_id == dataset_id
    refused = session.execute(
        update(Segment)
        .where(mine, is_refused(model))
        .values(state=SegmentState.ERROR, error=SegmentRefusal.reason)
        .returning(Segment.id)
        .execution_options(synchronize_session=False)
    ).all()
    session.execute(
        update(Segment)
        .where(mine, Segment.state == SegmentState.ERROR, _has_vector(session, model))
        .values(state=SegmentState.COMPLETED, error=None, completed_at=func.now())
        .execution_options(synchronize_session=False)
    )
    # From here on nobody adds a vector of the old model: see `put` in index.py, which shares the row.
    dataset = _under_way(session, dataset_id, model, for_update=True)
    lacks = select(Segment.id).where(
        mine, Segment.state == SegmentState.COMPLETED, ~_has_vector(session, model)
    )
    if session.scalar(lacks.limit(1)) is not None:
        raise NotYet
    forget_refusals(session, dataset_id)
    dataset.embedding_model, dataset.technique = model.name, Technique.HIGH_QUALITY
    dataset.next_model, dataset.built_to = None, 0
    session.flush()
    return len(refused)


def remove_old(session: Session, dataset_id: int, limit: int) -> int:
    """Remove up to `limit` vectors that no search of the dataset uses; how many, 0 at the end.

    While another model's are being built nothing goes: that change asks for a removal of its own.
    """
    # Shared, so that no change begins before this batch is gone.
    dataset = session.get(
        Dataset, dataset_id, with_for_update={"read": True}, populate_existing=True
    )
    if dataset is None or dataset.next_model is not None:
        return 0
    is_economy = dataset.technique is Technique.ECONOMY
    kept = None if is_economy else dataset.embedding_model
    return store(session).remove(session, dataset_id, keep=kept, limit=limit)


def _dataset(session: Session, dataset_id: int, *, for_update: bool = False) -> Dataset:
    dataset = session.get(Dataset, dataset_id, with_for_update=for_update, populate_existing=True)
    if dataset is None or dataset.deleted_at is not None:
        raise UnknownDataset(f"dataset {dataset_id} does not exist; see `taskhub dataset ls`")
    return dataset


def _under_way(
    session: Session, dataset_id: int, model: Embedder, *, for_update: bool = False
) -> Dataset:
    try:
        dataset = _dataset(session, dataset_id, for_update=for_update)
    except UnknownDataset as error:
        raise Superseded from error
    if dataset.next_model != model.name:
        raise Superseded
    return dataset


def _lacks(session: Session, model: Embedder, *, anew: bool) -> ColumnElement[bool]:
    """Of a segment: whether it is to get a vector of the model."""
    if anew:
        return Segment.state.in_(_DONE)
    return and_(
        Segment.state.in_(_DONE),
        ~_has_vector(session, model),
        ~exists().where(is_refused(model)),
    )


def _has_vector(session: Session, model: Embedder) -> ColumnElement[bool]:
    table = table_of(session, model)
    return exists().where(table.c.segment_id == Segment.id, table.c.model == model.name)


def _unchanged(session: Session, batch: Lacking) -> set[int]:
    """The batch's segments whose text is the same; it stays so until the end of the transaction."""
    now = session.execute(
        select(Segment.id, Segment.sha256)
        .where(Segment.id.in_(batch.sha256s), Segment.state.in_(_DONE))
        .order_by(Segment.id)
        .with_for_update(read=True)
    )
    return {row.id for row in now if row.sha256 == batch.sha256s[row.id]}


def _forget_texts(session: Session, made: Mapping[str, Made], model: Embedder) -> None:
    session.execute(
        delete(Embedding)
        .where(Embedding.model == model.name, Embedding.sha256.in_(sorted(made)))
        .execution_options(synchronize_session=False)
    )
