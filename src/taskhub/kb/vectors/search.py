"""Passages that answer a question: by meaning, by words, or by both."""

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, func, literal, select, text
from sqlalchemy.dialects.postgresql import TSQUERY
from sqlalchemy.orm import Session

from taskhub.kb.cleaning.unused import note_search
from taskhub.kb.datasets.models import Dataset, Technique
from taskhub.kb.documents.models import Document, DocumentState
from taskhub.kb.segments.models import Segment, SegmentState
from taskhub.kb.segments.words import words
from taskhub.kb.vectors.embed import NoVector, embed
from taskhub.kb.vectors.embedders import embedder
from taskhub.kb.vectors.models import SegmentVector512

# Of reciprocal rank fusion: how little the first ranks outweigh the following ones.
FUSION = 60


class Mode(enum.StrEnum):
    """How passages are compared with the question."""

    VECTOR = "vector"
    TEXT = "text"
    HYBRID = "hybrid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One passage; scores from 0 to 1 compare hits of one search, not of two."""

    document_id: int
    document_name: str
    segment_id: int
    position: int
    text: str
    score: float


def search(
    session: Session,
    question: str,
    dataset_ids: Sequence[int],
    *,
    limit: int = 5,
    mode: Mode | str = Mode.HYBRID,
) -> list[Hit]:
    """The passages that fit the question best, the best one first.

    Only enabled segments of completed, enabled documents that are not archived. Datasets indexed
    by words alone are searched by words in every mode. Sets HNSW options for the rest of the
    caller's transaction, and notes in it, once a minute, that the datasets were searched.

    Raises:
        ValueError: the question is empty, the limit is below 1, or the mode is unknown.
    """
    mode = Mode(mode)
    if not question.strip():
        raise ValueError("question must not be empty, got no letter")
    if limit < 1:
        raise ValueError(f"limit must be 1 or more, got {limit}")
    datasets = session.scalars(
        select(Dataset).where(Dataset.id.in_(list(dataset_ids)), Dataset.deleted_at.is_(None))
    ).all()
    note_search(session, datasets)
    by_words = [
        d.id for d in datasets if d.technique is Technique.ECONOMY or mode is not Mode.VECTOR
    ]
    by_model: dict[str, list[int]] = {}
    for dataset in datasets:
        if mode is not Mode.TEXT and dataset.technique is Technique.HIGH_QUALITY:
            by_model.setdefault(dataset.embedding_model, []).append(dataset.id)
    # Fusion looks deeper than it answers: a passage may be second in one list and tenth in another.
    depth = limit if mode is not Mode.HYBRID else max(4 * limit, 20)
    lists = [_by_vector(session, question, ids, name, depth) for name, ids in by_model.items()]
    if by_words:
        lists.append(_by_text(session, question, by_words, depth))
    found = [hits for hits in lists if hits]
    return found[0][:limit] if len(found) == 1 else _fused(found)[:limit]


def _findable(score: ColumnElement[float], dataset_ids: list[int]) -> Select[*tuple[Any, ...]]:
    return (
        select(
            Document.id.label("document_id"),
            Document.name.label("document_name"),
            Segment.id.label("segment_id"),
            Segment.position,
            Segment.text,
            score.label("score"),
        )
        .join(Segment, Segment.document_id == Document.id)
        .where(
            Segment.dataset_id.in_(dataset_ids),
            Segment.enabled,
            Segment.state == SegmentState.COMPLETED,
            Document.enabled,
            Document.archived.is_(False),
            Document.state == DocumentState.COMPLETED,
        )
    )


def _by_vector(
    session: Session, question: str, dataset_ids: list[int], model_name: str, limit: int
) -> list[Hit]:
    vector = embed(session, [question], embedder(model_name))[0]
    if isinstance(vector, NoVector):
        raise ValueError(f"question must be a text that can be embedded: {vector.reason}")
    # Without it the index gives its nearest 40 and the filters may leave none of them.
    session.execute(text("SET LOCAL hnsw.iterative_scan = strict_order"))
    distance = SegmentVector512.vector.cosine_distance(vector)
    query = (
        _findable(1 - distance, dataset_ids)
        .join(SegmentVector512, SegmentVector512.segment_id == Segment.id)
        .where(SegmentVector512.dataset_id.in_(dataset_ids), SegmentVector512.model == model_name)
        .order_by(distance)
        .limit(limit)
    )
    return _hits(session, query)


def _by_text(session: Session, question: str, dataset_ids: list[int], limit: int) -> list[Hit]:
    # Quoted, a word cannot be an operator of the query language.
    quoted = [
        "'" + w.replace("\\", "").replace("'", "''") + "'" for w in dict.fromkeys(words(question))
    ]
    if not quoted:
        return []
    wanted = func.to_tsquery("simple", " | ".join(quoted), type_=TSQUERY)
    # 32: rank / (rank + 1), so from 0 to 1.
    rank = func.ts_rank_cd(Segment.words, wanted, literal(32))
    query = (
        _findable(rank, dataset_ids)
        .where(Segment.words.bool_op("@@")(wanted))
        .order_by(rank.desc(), Segment.id)
        .limit(limit)
    )
    return _hits(session, query)


def _hits(session: Session, query: Select[*tuple[Any, ...]]) -> list[Hit]:
    return [
        Hit(**{**row, "score": min(max(float(row["score"]), 0.0), 1.0)})
        for row in session.execute(query).mappings()
    ]


def _fused(lists: list[list[Hit]]) -> list[Hit]:
    """Reciprocal rank fusion; first in every list is a score of 1."""
    scores: dict[int, float] = {}
    hits: dict[int, Hit] = {}
    best = len(lists) / (FUSION + 1)
    for ranked in lists:
        for rank, hit in enumerate(ranked, start=1):
            hits[hit.segment_id] = hit
            scores[hit.segment_id] = scores.get(hit.segment_id, 0.0) + 1 / (FUSION + rank) / best
    order = sorted(scores, key=lambda segment_id: (-scores[segment_id], segment_id))
    return [
        Hit(
            document_id=hits[i].document_id,
            document_name=hits[i].document_name,
            segment_id=i,
            position=hits[i].position,
            text=hits[i].text,
            score=min(scores[i], 1.0),
        )
        for i in order
    ]
