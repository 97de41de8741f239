"""The annotation that answers a question, if one is near enough."""

from dataclasses import dataclass

import numpy
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from taskhub.kb.annotations import reply
from taskhub.kb.annotations.index import vector_bytes
from taskhub.kb.annotations.models import Annotation, AnnotationHit, AnnotationVector
from taskhub.kb.vectors.embed import NoVector, embed
from taskhub.kb.vectors.embedders import embedder

READ_VECTORS = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """An answer, and how near its question is: 1 is the same text."""

    annotation_id: int
    question: str
    answer: str
    score: float


def match(session: Session, app_id: int, question: str, *, record: bool = True) -> Match | None:
    """The app's annotation whose question is nearest, if it reaches the threshold.

    Exact: each vector is compared, so none is missed; 4 MB of them are in memory at a time. With
    `record` the hit is counted and kept in the history, in the caller's transaction. None also where
    the app answers by no annotation.

    Raises:
        ValueError: the question is empty or cannot be embedded.
    """
    if not question.strip():
        raise ValueError("question must not be empty")
    setting = reply.setting(session, app_id)
    if setting is None:
        return None
    vector = embed(session, [question], embedder(setting.embedding_model))[0]
    if isinstance(vector, NoVector):
        raise ValueError(f"question must be a text that can be embedded: {vector.reason}")
    best, score = _nearest(session, app_id, setting.embedding_model, vector_bytes(vector))
    if best is None or score < setting.score_threshold:
        return None
    found = session.get_one(Annotation, best)
    answer = Match(
        annotation_id=best, question=found.question, answer=found.answer, score=min(score, 1.0)
    )
    if record:
        _record(session, app_id, question, answer)
    return answer


def _nearest(session: Session, app_id: int, model: str, vector: bytes) -> tuple[int | None, float]:
    wanted = numpy.frombuffer(vector, dtype="<f4")
    # A vector of an edited question, or of another width, is of no use until it is made anew.
    rows = session.execute(
        select(AnnotationVector.annotation_id, AnnotationVector.vector)
        .join(Annotation, Annotation.id == AnnotationVector.annotation_id)
        .where(
            AnnotationVector.app_id == app_id,
            AnnotationVector.model == model,
            AnnotationVector.sha256 == Annotation.sha256,
            func.octet_length(AnnotationVector.vector) == len(vector),
            Annotation.enabled,
        )
        .execution_options(yield_per=READ_VECTORS)
    )
    best: int | None = None
    highest = -1.0
    for some in rows.partitions():
        ids = [row.annotation_id for row in some]
        stored = numpy.frombuffer(b"".join(row.vector for row in some), dtype="<f4")
        scores = stored.reshape(len(ids), len(wanted)) @ wanted
        first = int(scores.argmax())
        if scores[first] > highest:
            best, highest = ids[first], float(scores[first])
    return best, highest


def _record(session: Session, app_id: int, question: str, answer: Match) -> None:
    session.add(
        AnnotationHit(
            app_id=app_id,
            annotation_id=answer.annotation_id,
            question=question[:10_000].replace("\0", ""),
            score=answer.score,
        )
    )
    session.flush()
    session.execute(
        update(Annotation)
        .where(Annotation.id == answer.annotation_id)
        .values(hit_count=Annotation.hit_count + 1),
        execution_options={"synchronize_session": False},
    )
