"""New texts for segments: they wait beside the old ones until they can be found themselves."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from taskhub.kb.datasets.models import Dataset
from taskhub.kb.datasets.rule import rule_of
from taskhub.kb.documents.clean import clean
from taskhub.kb.documents.models import Document
from taskhub.kb.segments.counts import recount
from taskhub.kb.segments.edits import SegmentEdit
from taskhub.kb.segments.models import ChildSegment, Segment, SegmentState
from taskhub.kb.segments.rules import Mode, ProcessRule
from taskhub.kb.segments.split import Piece, Splitter
from taskhub.kb.segments.store import store
from taskhub.kb.segments.tokens import count_tokens
from taskhub.kb.segments.words import CONFIGURATION, keywords, words
from taskhub.kb.vectors.embed import NoVector, embed
from taskhub.kb.vectors.embedders import Embedder
from taskhub.kb.vectors.index import index


class BadSegment(ValueError):
    """The text cannot be one of a segment."""


class UnknownSegment(LookupError):
    """There is no such segment; it was deleted, or its document was indexed anew."""


@dataclass(slots=True)
class Applied:
    """What became of one batch of edits; all empty when none waited.

    Attributes:
        refused: why a text could not be used, by the segment's id or the line of the import.
    """

    created: list[int] = field(default_factory=list)
    updated: list[int] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    @property
    def tried(self) -> int:
        """How many edits the batch had."""
        return len(self.created) + len(self.updated) + len(self.refused)


def checked(text: str, max_characters: int) -> str:
    """The text as it will be stored.

    Raises:
        BadSegment: it is empty or too long.
    """
    cleaned = clean(text).strip()
    if not cleaned:
        raise BadSegment("text must have a letter, got none")
    if len(cleaned) > max_characters:
        raise BadSegment(
            f"text must be at most {max_characters} characters, got {len(cleaned)}; "
            "raise max_segment_characters to take it"
        )
    return cleaned


def ask_edit(session: Session, segment: Segment, text: str, answer: str | None = None) -> bool:
    """Have the segment get this text; False, and nothing to do, if it has it already.

    In the caller's transaction. An edit of the same segment that still waits is replaced.
    """
    if is_same(segment, text, answer):
        session.execute(delete(SegmentEdit).where(SegmentEdit.segment_id == segment.id))
        return False
    new = insert(SegmentEdit).values(
        document_id=segment.document_id, segment_id=segment.id, text=text, answer=answer
    )
    session.execute(
        new.on_conflict_do_update(
            index_elements=["segment_id"],
            set_={"text": new.excluded.text, "answer": new.excluded.answer, "error": None},
        )
    )
    return True


def is_same(segment: Segment, text: str, answer: str | None) -> bool:
    """Whether the segment can be found by this very text, and tells this answer."""
    is_whole = segment.state is SegmentState.COMPLETED
    return is_whole and (segment.sha256, segment.answer) == (_sha256(text), answer)


def ask_again(session: Session, document_id: int) -> int:
    """Have those segments tried again that were left out; how many."""
    left_out = session.scalars(
        select(Segment).where(
            Segment.document_id == document_id, Segment.state == SegmentState.ERROR
        )
    ).all()
    return sum(ask_edit(session, each, each.text, each.answer) for each in left_out)


def waiting_texts(session: Session, document_id: int, limit: int) -> Sequence[str]:
    """The texts of the next `limit` edits of a document."""
    return session.scalars(
        select(SegmentEdit.text)
        .where(SegmentEdit.document_id == document_id, SegmentEdit.error.is_(None))
        .order_by(SegmentEdit.id)
        .limit(limit)
    ).all()


def count_waiting(session: Session, document_id: int) -> int:
    """How many edits of a document wait."""
    return (
        session.scalar(
            select(func.count()).where(
                SegmentEdit.document_id == document_id, SegmentEdit.error.is_(None)
            )
        )
        or 0
    )


def apply(session: Session, document: Document, model: Embedder | None, limit: int) -> Applied:
    """Let the next `limit` edits of a completed document be found, in the caller's transaction.

    The document's row must be locked. A text that cannot be embedded stays an edit, with the
    reason, and the segment it was for is found by its old text.
    """
    edits = session.scalars(
        select(SegmentEdit)
        .where(SegmentEdit.document_id == document.id, SegmentEdit.error.is_(None))
        .order_by(SegmentEdit.id)
        .limit(limit)
        .with_for_update()
    ).all()
    done = Applied()
    rule = rule_of(session.get_one(Dataset, document.dataset_id), document)
    good = _usable(session, edits, model, done)
    new = [edit for edit in good if edit.segment_id is None]
    if new:
        done.created = _append(session, document, [_piece(edit, rule) for edit in new])
    for edit in good:
        if edit.segment_id is not None:
            _rewrite(session, document, edit.segment_id, _piece(edit, rule))
            done.updated.append(edit.segment_id)
    if good:
        # The document is no longer what its file and rule alone would make of it.
        document.indexed_as = None
        index(session, document.id, model, limit=len(good))
        session.execute(delete(SegmentEdit).where(SegmentEdit.id.in_([e.id for e in good])))
        recount(session, document)
    return done


def _usable(
    session: Session, edits: Sequence[SegmentEdit], model: Embedder | None, done: Applied
) -> list[SegmentEdit]:
    results = embed(session, [edit.text for edit in edits], model) if model and edits else []
    good = []
    for number, edit in enumerate(edits):
        result = results[number] if results else None
        if isinstance(result, NoVector):
            edit.error = result.reason
            place = f"line {edit.line}" if edit.line else f"segment {edit.segment_id or 'new'}"
            done.refused.append(f"{place}: {result.reason}")
        else:
            good.append(edit)
    session.flush()
    return good


def _piece(edit: SegmentEdit, rule: ProcessRule) -> Piece:
    """The text as the pipeline would have made it of a file: with its answer, or its children."""
    children: tuple[Piece, ...] = ()
    if rule.mode is Mode.PARENT_CHILD:
        splitter = Splitter(rule.child_tokens)
        children = (*splitter.feed(edit.text), *splitter.end())
    tokens = count_tokens(edit.text)
    return Piece(edit.text, tokens, answer=edit.answer, children=children)


def _append(session: Session, document: Document, pieces: list[Piece]) -> list[int]:
    # The document's row is locked, so nobody else takes these positions.
    last = session.scalar(
        select(func.max(Segment.position)).where(Segment.document_id == document.id)
    )
    first = 0 if last is None else last + 1
    store(session, document, pieces, first)
    made = session.scalars(
        select(Segment.id)
        .where(Segment.document_id == document.id, Segment.position >= first)
        .order_by(Segment.position)
    )
    return list(made)


def _rewrite(session: Session, document: Document, segment_id: int, piece: Piece) -> None:
    session.execute(
        update(Segment)
        .where(Segment.id == segment_id)
        .values(
            text=piece.text,
            answer=piece.answer,
            tokens=piece.tokens,
            sha256=_sha256(piece.text),
            keywords=keywords(piece.text),
            words=func.to_tsvector(CONFIGURATION, " ".join(words(piece.text))),
            # Committed together with the new vector: nobody sees a segment that waits.
            state=SegmentState.WAITING,
            error=None,
        )
    )
    session.execute(delete(ChildSegment).where(ChildSegment.segment_id == segment_id))
    children = [
        {
            "segment_id": segment_id,
            "document_id": document.id,
            "dataset_id": document.dataset_id,
            "position": number,
            "text": child.text,
            "tokens": child.tokens,
            "sha256": _sha256(child.text),
        }
        for number, child in enumerate(piece.children)
    ]
    if children:
        session.execute(insert(ChildSegment), children)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
