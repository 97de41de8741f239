"""A small plain text that waits: all that decides what becomes of it, and its end if that still holds."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from taskhub.kb.datasets.models import Dataset, Technique
from taskhub.kb.documents import sameness
from taskhub.kb.documents.extract import Format
from taskhub.kb.documents.models import PART_BYTES, Document, DocumentPart, DocumentState
from taskhub.kb.segments.rules import ProcessRule
from taskhub.kb.segments.split import Piece

# Read by our own code alone, a block at a time: nothing in such a file can take memory or time.
PLAIN = (Format.TEXT, Format.MARKDOWN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Small:
    """What was read of the document, of its dataset and of its file, in one statement."""

    document_id: int
    dataset_id: int
    format: Format
    sha256: str
    content: bytes
    technique: Technique
    embedding_model: str
    own_rule: dict[str, Any] | None
    dataset_rule: dict[str, Any]

    @property
    def rule(self) -> ProcessRule:
        return ProcessRule.of(self.dataset_rule if self.own_rule is None else self.own_rule)

    @property
    def way(self) -> str:
        return sameness.way_of(self.technique, self.embedding_model, self.format.value, self.rule)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """What was made of the text; it began and ended at these times of time.monotonic()."""

    pieces: Sequence[Piece]
    text_sha256: str
    characters: int
    began: float
    ended: float

    @property
    def tokens(self) -> int:
        return sum(piece.tokens for piece in self.pieces)


def look(session: Session, document_id: int, *, most_bytes: int) -> Small | None:
    """The document if it is plain text of at most so many bytes of which nothing was made yet.

    A read without a lock: `complete` finds out whether it still holds.
    """
    row = session.execute(
        select(
            Document.id.label("document_id"),
            Document.dataset_id,
            Document.format,
            Document.sha256,
            Document.process_rule.label("own_rule"),
            DocumentPart.content,
            Dataset.technique,
            Dataset.embedding_model,
            Dataset.process_rule.label("dataset_rule"),
        )
        .join(Dataset, Dataset.id == Document.dataset_id)
        .join(DocumentPart, DocumentPart.document_id == Document.id)
        .where(
            Document.id == document_id,
            *_untouched(),
            Document.format.in_([kind.value for kind in PLAIN]),
            Document.bytes <= min(most_bytes, PART_BYTES),
            DocumentPart.number == 0,
            *_settled(),
        )
    ).one_or_none()
    if row is None:
        return None
    found = row._asdict()
    return Small(**{**found, "format": Format(found["format"]), "content": bytes(row.content)})


def complete(session: Session, small: Small, cut: Cut) -> bool:
    """Lock the document and enter its last stage; False if it, its rule or its model changed since.

    Then the caller rolls back. The dataset keeps its model until the transaction ends.
    """

    entered = session.execute(
        update(Document)
        .where(
            Document.id == small.document_id,
            *_untouched(),
            Document.sha256 == small.sha256,
            Document.process_rule.is_not_distinct_from(small.own_rule),
        )
        .values(_ended(small, cut))
        .returning(Document.id)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    if entered is None:
        return False
    same = select(Dataset.id).where(
        Dataset.id == small.dataset_id,
        *_settled(),
        Dataset.technique == small.technique,
        Dataset.embedding_model == small.embedding_model,
        Dataset.process_rule == small.dataset_rule,
    )
    return session.scalar(same.with_for_update(read=True, key_share=True)) is not None


def _ended(small: Small, cut: Cut) -> dict[InstrumentedAttribute[Any], Any]:
    now = time.monotonic()

    def at(then: float) -> ColumnElement[Any]:
        return func.now() - func.make_interval(0, 0, 0, 0, 0, 0, now - then)

    return {
        Document.state: DocumentState.COMPLETED,
        Document.parsing_at: at(cut.began),
        Document.cleaning_at: at(cut.ended),
        Document.splitting_at: at(cut.ended),
        Document.indexing_at: at(cut.ended),
        Document.completed_at: func.now(),
        Document.segments_total: len(cut.pieces),
        Document.segments_done: len(cut.pieces),
        Document.tokens: cut.tokens,
        Document.characters: cut.characters,
        Document.text_sha256: cut.text_sha256,
        Document.indexed_sha256: small.sha256,
        Document.indexed_as: small.way,
    }


def _untouched() -> tuple[ColumnElement[bool], ...]:
    return (
        Document.state == DocumentState.WAITING,
        Document.error.is_(None),
        Document.indexing_at.is_(None),
        Document.text_sha256.is_(None),
        Document.segments_total == 0,
        Document.replaces_id.is_(None),
        Document.deleted_at.is_(None),
    )


def _settled() -> tuple[ColumnElement[bool], ...]:
    return (Dataset.deleted_at.is_(None), Dataset.next_model.is_(None))
