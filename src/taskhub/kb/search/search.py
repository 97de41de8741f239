"""Passages that answer a question: by meaning, by words, or by both."""

import enum
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from psycopg.errors import QueryCanceled
from sqlalchemy import BigInteger, bindparam, func, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from taskhub.kb.cleaning.unused import due, note_search
from taskhub.kb.datasets.models import Dataset, Technique
from taskhub.kb.documents.models import Document
from taskhub.kb.search.by_text import by_text
from taskhub.kb.search.by_vector import by_vector
from taskhub.kb.search.fusion import WORDS_WEIGHT, Match, fused
from taskhub.kb.search.scope import Scope, among
from taskhub.kb.segments.models import Segment
from taskhub.kb.vectors.embedders import embedder
from taskhub.kb.vectors.failures import EndpointBusy, EndpointFailed
from taskhub.settings import Settings

logger = logging.getLogger(__name__)

MOST_HITS = 1_000
MOST_CHARACTERS = 10_000
DEPTHS = (50, 200, 2 * MOST_HITS)


_DATASETS = (
    select(Dataset)
    .where(
        among(Dataset.id, "ids"),
        Dataset.deleted_at.is_(None),
        Dataset.tenant_id
        == func.coalesce(bindparam("tenant_id", type_=BigInteger), Dataset.tenant_id),
    )
    .order_by(Dataset.id)
)
_HITS = (
    select(
        Segment.id,
        Segment.document_id,
        Document.name,
        Segment.position,
        Segment.text,
        Segment.answer,
    )
    .join(Document, Document.id == Segment.document_id)
    .where(among(Segment.id, "ids"))
)


class Mode(enum.StrEnum):
    """How passages are compared with the question."""

    VECTOR = "vector"
    TEXT = "text"
    HYBRID = "hybrid"


class SearchTimeout(TimeoutError):
    """The database did not answer in time; the caller's transaction is as it was before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One passage; scores from 0 to 1 compare hits of one search, not of two.

    Attributes:
        answer: of a question whose answer was given with it; None for a passage of a text.
    """

    document_id: int
    document_name: str
    segment_id: int
    position: int
    text: str
    score: float
    answer: str | None = None


def search(
    session: Session,
    question: str,
    dataset_ids: Sequence[int],
    *,
    limit: int = 5,
    offset: int = 0,
    mode: Mode | str = Mode.HYBRID,
    tenant_id: int | None = None,
    document_ids: Sequence[int] | None = None,
    metadata: Mapping[str, Any] | None = None,
    timeout_seconds: float = 10.0,
    settings: Settings | None = None,
) -> list[Hit]:
    """The passages that fit the question best, the best one first; the first `offset` are left out.

    Only enabled segments of completed, enabled documents that are not archived. Datasets indexed
    by words alone are searched by words in every mode; those that do not exist, are being deleted
    or belong to another tenant than `tenant_id` are passed over. `document_ids` and `metadata`
    narrow the search: a document fits if its metadata contains all of the given.

    `settings` name the endpoint of models that are not local. While it cannot answer, a hybrid
    search goes by words alone, and the log says so. Reads what the caller's transaction sees and
    notes in it, once a minute, that the datasets were searched, unless it may only read.

    Raises:
        ValueError: the question is empty or too long, limit or offset do not fit, the mode is
            unknown, or the metadata is no JSON.
        SearchTimeout: one statement took longer than `timeout_seconds`.
    """
    _check(limit, offset, timeout_seconds)
    _check_metadata(metadata)
    narrowed = {"document_ids": _given(document_ids), "metadata": metadata or None}
    asked = _Asked(_question(question), _mode(mode), limit + offset, narrowed, settings)
    with _on_the_side(session, timeout_seconds):
        datasets = _datasets(session, dataset_ids, tenant_id)
        unnoted = due(datasets)
        found = _hits(session, _best(session, asked, datasets)[offset : offset + limit])
    note_search(session, unnoted)
    return found


def _mode(mode: Mode | str) -> Mode:
    try:
        return Mode(mode)
    except ValueError:
        raise ValueError(f"mode must be one of {', '.join(Mode)}, got {mode!r}") from None


def _question(question: str) -> str:
    # Neither NUL nor half of a surrogate pair can be sent to Postgres.
    clean = question.replace("\0", " ").encode("utf-8", "replace").decode()
    if not clean.strip():
        raise ValueError("question must not be empty, got no letter")
    if len(clean) > MOST_CHARACTERS:
        raise ValueError(
            f"question must be at most {MOST_CHARACTERS} characters long, got {len(clean)}"
        )
    return clean


def _check(limit: int, offset: int, timeout_seconds: float) -> None:
    if not 1 <= limit <= MOST_HITS - offset or offset < 0:
        raise ValueError(
            f"limit must be 1 or more, offset 0 or more, and both together at most {MOST_HITS}, "
            f"got limit {limit} and offset {offset}"
        )
    if not timeout_seconds > 0:
        raise ValueError(f"timeout_seconds must be above 0, got {timeout_seconds}")


def _check_metadata(metadata: Mapping[str, Any] | None) -> None:
    try:
        told = json.dumps(dict(metadata or {}), allow_nan=False, ensure_ascii=False)
        told.encode()
    except (TypeError, ValueError) as error:
        raise ValueError(f"metadata must be a JSON object, got {metadata!r}: {error}") from None
    if "\\u0000" in told:
        raise ValueError(f"metadata must hold no NUL, got {metadata!r}")


def _given(ids: Sequence[int] | None) -> tuple[int, ...] | None:
    return None if ids is None else tuple(ids)


@contextmanager
def _on_the_side(session: Session, timeout_seconds: float) -> Iterator[None]:
    """Options for what is inside, gone afterwards, and so is an error of the statements."""
    # What the caller changed must be seen, and must not be rolled back with the savepoint.
    session.flush()
    savepoint = session.connection().begin_nested()
    try:
        milliseconds = str(max(int(timeout_seconds * 1000), 1))
        session.execute(select(func.set_config("statement_timeout", milliseconds, True)))
        yield
    except OperationalError as error:
        if not isinstance(error.orig, QueryCanceled):
            raise
        raise SearchTimeout(
            f"search took longer than {timeout_seconds:g} s; ask fewer datasets, or allow more time"
        ) from error
    finally:
        savepoint.rollback()


def _datasets(
    session: Session, dataset_ids: Sequence[int], tenant_id: int | None
) -> Sequence[Dataset]:
    given = {"ids": list(dataset_ids), "tenant_id": tenant_id}
    return session.scalars(_DATASETS, given).all()


@dataclass(frozen=True, slots=True)
class _Asked:
    question: str
    mode: Mode
    most: int
    narrowed: dict[str, Any]
    settings: Settings | None


def _lists(
    session: Session, asked: _Asked, datasets: Sequence[Dataset]
) -> list[tuple[float, list[Match]]]:
    """The rankings that are not empty, each with its weight."""
    by_words: list[int] = []
    by_model: dict[str, list[int]] = {}
    for dataset in datasets:
        economy = dataset.technique is Technique.ECONOMY
        if economy or asked.mode is not Mode.VECTOR:
            by_words.append(dataset.id)
        if asked.mode is not Mode.TEXT and not economy:
            by_model.setdefault(dataset.embedding_model, []).append(dataset.id)
    # Fusion looks deeper than it answers: a passage may be second in one list and tenth in another.
    # In steps, because with another depth the order is another one, and pages would not fit.
    deeper = next(depth for depth in DEPTHS if depth >= 2 * asked.most)
    depth = asked.most if len(by_model) + bool(by_words) == 1 else deeper
    known: dict[tuple[int, ...], tuple[Scope, int | None]] = {}

    def sized(ids: list[int]) -> tuple[Scope, int | None]:
        if tuple(ids) not in known:
            scope = Scope(dataset_ids=tuple(ids), **asked.narrowed).resolved(session)
            known[tuple(ids)] = scope, scope.size(session)
        return known[tuple(ids)]

    lists: list[tuple[float, list[Match]]] = []
    for model, ids in by_model.items():
        scope, size = sized(ids)
        embedding = embedder(model, asked.settings)
        with _tolerated(model, asked.mode):
            found = by_vector(session, asked.question, scope, embedding, depth=depth, size=size)
            lists.append((1.0, found))
    if by_words:
        scope, size = sized(by_words)
        lists.append(
            (WORDS_WEIGHT, by_text(session, asked.question, scope, depth=depth, size=size))
        )
    return [(weight, ranked) for weight, ranked in lists if ranked] or [(1.0, [])]


@contextmanager
def _tolerated(model: str, mode: Mode) -> Iterator[None]:
    """In hybrid mode an endpoint that cannot answer now is no reason to find nothing."""
    try:
        yield
    except (EndpointBusy, EndpointFailed) as error:
        if mode is not Mode.HYBRID:
            raise
        logger.warning("search by words alone", extra={"model": model, "reason": str(error)})


def _best(session: Session, asked: _Asked, datasets: Sequence[Dataset]) -> Sequence[Match]:
    lists = _lists(session, asked, datasets)
    return lists[0][1] if len(lists) == 1 else fused(lists)


def _hits(session: Session, best: Sequence[Match]) -> list[Hit]:
    rows = session.execute(_HITS, {"ids": [match.segment_id for match in best]})
    found = {row.id: row for row in rows}
    return [
        Hit(
            document_id=found[match.segment_id].document_id,
            document_name=found[match.segment_id].name,
            segment_id=match.segment_id,
            position=found[match.segment_id].position,
            text=found[match.segment_id].text,
            score=min(max(match.score, 0.0), 1.0),
            answer=found[match.segment_id].answer,
        )
        for match in best
        # Between two statements a segment may have been deleted.
        if match.segment_id in found
    ]
