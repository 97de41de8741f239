"""Write the segments of a document, a bounded number at a time."""

import functools
import hashlib
import typing
from collections.abc import Sequence

from sqlalchemy import (
    BigInteger,
    BindParameter,
    ColumnElement,
    Integer,
    Table,
    Text,
    bindparam,
    cast,
    delete,
    func,
    insert,
    literal,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session
from sqlalchemy.sql.dml import ReturningInsert
from sqlalchemy.types import TypeEngine

from taskhub.kb.documents.models import Document
from taskhub.kb.segments.models import ChildSegment, Segment, SegmentState
from taskhub.kb.segments.split import Piece
from taskhub.kb.segments.words import CONFIGURATION, keywords, words

# No keyword has it: it is a control character.
_BETWEEN = "\x1f"


def store(session: Session, document: Document, pieces: Sequence[Piece], position: int) -> None:
    """Insert the pieces at `position` and following, and count them in the document's row.

    One statement for all of them, and one for their children, in the caller's transaction.
    """
    ids = write(session, document.id, document.dataset_id, pieces, position)
    _store_children(session, document, {ids[position + n]: p for n, p in enumerate(pieces)})
    session.execute(
        update(Document)
        .where(Document.id == document.id)
        .values(
            segments_total=Document.segments_total + len(pieces),
            tokens=Document.tokens + sum(piece.tokens for piece in pieces),
        )
    )


def write(
    session: Session,
    document_id: int,
    dataset_id: int,
    pieces: Sequence[Piece],
    position: int,
    *,
    findable: bool = False,
) -> dict[int, int]:
    """Insert segments without their children in one statement; their ids by position.

    They wait for their vectors, unless they are `findable`: then the caller stores those next.
    """
    found = session.execute(
        _insert_segments(findable),
        {
            "document_id": document_id,
            "dataset_id": dataset_id,
            "first": position,
            "texts": [piece.text for piece in pieces],
            "tokens": [piece.tokens for piece in pieces],
            "sha256s": [_sha256(piece.text) for piece in pieces],
            "answers": [piece.answer for piece in pieces],
            # Arrays of arrays must all be of one length in Postgres, so these travel as one text.
            "keywords": [_BETWEEN.join(keywords(piece.text)) for piece in pieces],
            "words": [" ".join(words(piece.text)) for piece in pieces],
        },
    )
    return {row.position: row.id for row in found}


def _store_children(session: Session, document: Document, parents: dict[int, Piece]) -> None:
    rows = [
        {
            "segment_id": segment_id,
            "document_id": document.id,
            "dataset_id": document.dataset_id,
            "position": number,
            "text": child.text,
            "tokens": child.tokens,
            "sha256": _sha256(child.text),
        }
        for segment_id, parent in parents.items()
        for number, child in enumerate(parent.children)
    ]
    if rows:
        session.execute(insert(ChildSegment), rows)


@functools.cache
def _insert_segments(findable: bool) -> ReturningInsert[typing.Any]:
    """One statement whatever the number of rows, so that it is compiled and prepared once."""

    rows = (
        func.unnest(
            _given("texts", Text),
            _given("tokens", Integer),
            _given("sha256s", Text),
            _given("answers", Text),
            _given("keywords", Text),
            _given("words", Text),
        )
        .table_valued(
            "text", "tokens", "sha256", "answer", "keywords", "words", with_ordinality="n"
        )
        .render_derived(name="given")
    )
    columns: dict[str, ColumnElement[typing.Any]] = {
        "document_id": bindparam("document_id", type_=BigInteger),
        "dataset_id": bindparam("dataset_id", type_=BigInteger),
        "position": cast(bindparam("first", type_=Integer) + rows.c.n - 1, Integer),
        "text": rows.c.text,
        "tokens": rows.c.tokens,
        "sha256": rows.c.sha256,
        "answer": rows.c.answer,
        "keywords": func.string_to_array(rows.c.keywords, _BETWEEN),
        "words": func.to_tsvector(CONFIGURATION, rows.c.words),
    }
    if findable:
        done = cast(literal(SegmentState.COMPLETED, Segment.state.type), Segment.state.type)
        columns |= {"state": done, "completed_at": func.now()}
    # The table and not the class: an insert of the ORM with parameters means one row for each.
    table = typing.cast(Table, Segment.__table__)
    return (
        insert(table)
        .from_select(list(columns), select(*columns.values()))
        .returning(table.c.id, table.c.position)
    )


def _given(name: str, kind: type[TypeEngine[typing.Any]]) -> BindParameter[typing.Any]:
    return bindparam(name, type_=ARRAY(kind))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def discard(session: Session, document_id: int, limit: int) -> int:
    """Delete up to `limit` segments of a document with their vectors; how many, 0 when none is left."""
    doomed = (
        select(Segment.id)
        .where(Segment.document_id == document_id)
        .order_by(Segment.position)
        .limit(limit)
    )
    gone = session.execute(delete(Segment).where(Segment.id.in_(doomed)).returning(Segment.id))
    return len(gone.all())
