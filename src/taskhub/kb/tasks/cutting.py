"""From a document's file to its segments: parsing, cleaning, splitting."""

import hashlib
import io
import itertools
import tempfile
from collections.abc import Iterator

from sqlalchemy.orm import Session

from taskhub.kb.datasets.models import Dataset
from taskhub.kb.datasets.rule import rule_of
from taskhub.kb.documents import sameness, stages
from taskhub.kb.documents.add import read_again
from taskhub.kb.documents.extract import Format
from taskhub.kb.documents.failures import BadDocument, Problem
from taskhub.kb.documents.fetch import fetch
from taskhub.kb.documents.limits import Limits
from taskhub.kb.documents.models import Document, DocumentState
from taskhub.kb.documents.read import read
from taskhub.kb.documents.small import PLAIN
from taskhub.kb.documents.spool import Spool
from taskhub.kb.segments.cut import cut as pieces_of
from taskhub.kb.segments.rules import ProcessRule
from taskhub.kb.segments.store import discard, store
from taskhub.kb.tasks.steps import step, stop_if_asked
from taskhub.queue import Context

STORE_SEGMENTS = 256
DISCARD_SEGMENTS = 1000


def is_small(document: Document, small_text_bytes: int) -> bool:
    """Whether the document is plain text so short that a process of its own would cost more."""
    return document.format in PLAIN and document.bytes <= small_text_bytes


def begin(ctx: Context, session: Session, document: Document) -> None:
    """Enter the first stage, or the last one if the segments are whole; in the caller's step."""
    if document.format is None:
        # The file could not be taken in. It may be there by now: that is what a retry is for.
        read_again(session, document, max_file_bytes=ctx.hub.settings.max_file_bytes)
    if document.format is None:
        raise BadDocument(Problem(document.error_kind or ""), document.error or "")
    stages.start(session, document)


def cut_at_once(ctx: Context, session: Session, document: Document) -> bool:
    """Cut a small text within the caller's step; False, and nothing done, if it had many segments."""
    with io.BytesIO() as file:
        fetch(session, document.id, file)
        kind = Format(document.format or "")
        rule = _rule(session, document)
        blocks = list(read(file, kind, rule, Limits.of(ctx.hub.settings)))
    digest = _digest(blocks)
    document.characters = sum(map(len, blocks))
    if sameness.keep_segments(session, document, digest):
        return True
    sameness.forget(document)
    if discard(session, document.id, DISCARD_SEGMENTS) == DISCARD_SEGMENTS:
        return False
    document.text_sha256 = digest
    is_markdown = kind is Format.MARKDOWN
    pieces = pieces_of(blocks, rule, markdown=is_markdown, left_out=ctx.log.warning)
    store(session, document, list(pieces), 0)
    stages.pass_through(session, document)
    _enter_indexing(session, document, kind)
    return True


def cut(ctx: Context, document_id: int) -> None:
    """Cut a file of any size, in steps of bounded size, with its text on disk."""
    hashed = hashlib.sha256()
    with tempfile.TemporaryFile() as file:
        with step(ctx, document_id) as (session, document):
            fetch(session, document_id, file)
            kind = Format(document.format or "")
            rule = _rule(session, document)
        # Reading cleans as it goes, so that the text is written to disk once.
        blocks = read(file, kind, rule, Limits.of(ctx.hub.settings))
        text = Spool(_hashed(_watched(ctx, blocks), hashed))
    with text:
        with step(ctx, document_id) as (session, document):
            document.characters = text.characters
            stages.enter(session, document, DocumentState.CLEANING)
        with step(ctx, document_id) as (session, document):
            if sameness.keep_segments(session, document, hashed.hexdigest()):
                return
            sameness.forget(document)
            stages.enter(session, document, DocumentState.SPLITTING)
        _discard(ctx, document_id)
        _store(ctx, document_id, text, kind, rule)
    with step(ctx, document_id) as (session, document):
        document.text_sha256 = hashed.hexdigest()
        _enter_indexing(session, document, kind)


def _store(ctx: Context, document_id: int, text: Spool, kind: Format, rule: ProcessRule) -> None:
    position = characters = 0
    is_markdown = kind is Format.MARKDOWN
    pieces = pieces_of(text.blocks(), rule, markdown=is_markdown, left_out=ctx.log.warning)
    while batch := list(itertools.islice(pieces, STORE_SEGMENTS)):
        with step(ctx, document_id) as (session, document):
            store(session, document, batch, position)
        position += len(batch)
        characters += sum(len(piece.text) for piece in batch)
        # Pieces overlap, so that together they are longer than the text.
        done = min(characters, text.characters)
        ctx.progress(done, text.characters, f"splitting, {position} segments")


def _rule(session: Session, document: Document) -> ProcessRule:
    return rule_of(session.get_one(Dataset, document.dataset_id), document)


def _enter_indexing(session: Session, document: Document, kind: Format) -> None:
    session.refresh(document, ["segments_total", "tokens"])
    if document.segments_total == 0:
        raise BadDocument(Problem.NO_TEXT, f"no text in the {kind.value} file after cleaning")
    stages.enter(session, document, DocumentState.INDEXING)


def _discard(ctx: Context, document_id: int) -> None:
    """A crash between two batches left segments, or the document is indexed again."""
    while True:
        with step(ctx, document_id) as (session, _):
            if not discard(session, document_id, DISCARD_SEGMENTS):
                return


def _watched(ctx: Context, blocks: Iterator[str]) -> Iterator[str]:
    characters = 0
    for block in blocks:
        stop_if_asked(ctx)
        yield block
        characters += len(block)
        ctx.progress(characters, note="reading, characters")


def _hashed(blocks: Iterator[str], into: "hashlib._Hash") -> Iterator[str]:
    for block in blocks:
        into.update(block.encode())
        yield block


def _digest(blocks: list[str]) -> str:
    return hashlib.sha256("".join(blocks).encode()).hexdigest()
