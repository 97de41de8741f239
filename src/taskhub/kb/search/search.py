"""Passages that answer a question: by meaning, by words, or by both."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from psycopg.errors import QueryCanceled
from sqlalchemy import BigInteger, bindparam, func, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from taskhub.kb.cleaning.unused import due, note_search
from taskhub.kb.datasets.models import Dataset
from taskhub.kb.documents.models import Document
from taskhub.kb.search.fusion import Match
from taskhub.kb.search.ranking import MOST_HITS, Asked, Mode, best
from taskhub.kb.search.scope import among
from taskhub.kb.segments.models import Segment
from taskhub.settings import Settings

MOST_CHARACTERS = 10_000


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
    asked = Asked(_question(question), _mode(mode), limit + offset, narrowed, settings)
    with _on_the_side(session, timeout_seconds):
        datasets = _datasets(session, dataset_ids, tenant_id)
        unnoted = due(datasets)
        found = _hits(session, best(session, asked, datasets)[offset : offset + limit])
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


def _hits(session: Session, matches: Sequence[Match]) -> list[Hit]:
    rows = session.execute(_HITS, {"ids": [match.segment_id for match in matches]})
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
        for match in matches
        # Between two statements a segment may have been deleted.
        if match.segment_id in found
    ]
