"""Give annotations the vectors of their questions; one that was made of an old question is no vector."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy
from sqlalchemy import Exists, Select, exists, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from taskhub.kb.annotations.models import Annotation, AnnotationVector
from taskhub.kb.cleaning.kinds import Kind, table
from taskhub.kb.vectors.embed import NoVector, embed
from taskhub.kb.vectors.embedders import embedder


@dataclass(frozen=True, slots=True)
class Indexed:
    """What one batch did.

    Attributes:
        left_out: those whose question the model gave no vector for; their `index_error` says why.
        last_id: where the next batch begins; None when no annotation lacks its vector.
    """

    done: int
    left_out: int
    last_id: int | None


def index_batch(
    session: Session, app_id: int, model: str, *, after_id: int = 0, limit: int = 64
) -> Indexed:
    """Give the next `limit` enabled annotations that lack it their vector of this model.

    In the caller's transaction; embeddings come from the cache where the text was embedded before.

    Raises:
        UnknownEmbedder: there is no such model.
    """
    lacking = _lacking(app_id, model).where(Annotation.id > after_id)
    return _indexed(session, app_id, model, lacking.order_by(Annotation.id).limit(limit))


def index_one(session: Session, app_id: int, model: str, annotation_id: int) -> Indexed:
    """As `index_batch`, for one annotation alone."""
    lacking = _lacking(app_id, model).where(Annotation.id == annotation_id)
    return _indexed(session, app_id, model, lacking)


def vector_bytes(vector: Sequence[float]) -> bytes:
    """The vector at length 1, as it is stored."""
    numbers = numpy.asarray(vector, dtype="<f4")
    return bytes((numbers / numpy.linalg.norm(numbers)).astype("<f4").tobytes())


def vectors_of_others(app_id: int, model: str | None) -> list[Kind]:
    """The app's vectors that are not of this model; all of them for None."""
    vectors = table("annotation_vectors")
    belongs = vectors.c.app_id == app_id
    return [
        Kind(
            "annotation_vectors",
            vectors,
            belongs if model is None else belongs & (vectors.c.model != model),
        )
    ]


def vectors_of(annotation_ids: Sequence[int]) -> list[Kind]:
    """The vectors of these annotations that are disabled, of whatever model."""
    vectors, annotations = table("annotation_vectors"), table("annotations")
    disabled = select(annotations.c.id).where(
        annotations.c.id.in_(annotation_ids), annotations.c.enabled.is_(False)
    )
    return [Kind("annotation_vectors", vectors, vectors.c.annotation_id.in_(disabled))]


def _lacking(app_id: int, model: str) -> Select[int, str, str]:
    return select(Annotation.id, Annotation.question, Annotation.sha256).where(
        Annotation.app_id == app_id, Annotation.enabled, ~_has_vector(model)
    )


def _has_vector(model: str) -> Exists:
    return exists().where(
        AnnotationVector.annotation_id == Annotation.id,
        AnnotationVector.model == model,
        AnnotationVector.sha256 == Annotation.sha256,
    )


def _indexed(session: Session, app_id: int, model: str, lacking: Select[int, str, str]) -> Indexed:
    rows = session.execute(lacking).all()
    if not rows:
        return Indexed(0, 0, None)
    results = embed(session, [row.question for row in rows], embedder(model))
    done = []
    left_out = 0
    for row, result in zip(rows, results, strict=True):
        if isinstance(result, NoVector):
            left_out += 1
            session.execute(
                update(Annotation).where(Annotation.id == row.id).values(index_error=result.reason)
            )
            continue
        done.append(
            {
                "annotation_id": row.id,
                "model": model,
                "app_id": app_id,
                "sha256": row.sha256,
                "vector": vector_bytes(result),
            }
        )
    if done:
        _put(session, done)
    return Indexed(len(done), left_out, rows[-1].id)


def _put(session: Session, rows: list[dict[str, object]]) -> None:
    # Locked first: one that was deleted while the model worked must not fail the others.
    there = set(
        session.scalars(
            select(Annotation.id)
            .where(Annotation.id.in_([row["annotation_id"] for row in rows]))
            .order_by(Annotation.id)
            .with_for_update(read=True, key_share=True)
        )
    )
    new = insert(AnnotationVector).values([row for row in rows if row["annotation_id"] in there])
    if there:
        session.execute(
            new.on_conflict_do_update(
                index_elements=["annotation_id", "model"],
                set_={"sha256": new.excluded.sha256, "vector": new.excluded.vector},
            )
        )
        session.execute(
            update(Annotation)
            .where(Annotation.id.in_(there), Annotation.index_error.is_not(None))
            .values(index_error=None)
        )


def count_lacking(session: Session, app_id: int, model: str) -> int:
    """How many enabled annotations of the app lack their vector of this model."""
    lacking = select(func.count()).where(
        Annotation.app_id == app_id, Annotation.enabled, ~_has_vector(model)
    )
    return int(session.scalar(lacking) or 0)
