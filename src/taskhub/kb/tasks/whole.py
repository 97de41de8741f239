"""A small text becomes findable in one transaction; no row is locked while it is cut and embedded."""

import hashlib
import io
import time
from collections.abc import Mapping

from sqlalchemy.orm import Session

from taskhub.kb.datasets.models import Technique
from taskhub.kb.documents import small
from taskhub.kb.documents.extract import Format
from taskhub.kb.documents.limits import Limits
from taskhub.kb.documents.read import read
from taskhub.kb.documents.small import Cut, Small
from taskhub.kb.segments.cut import cut
from taskhub.kb.segments.rules import Mode
from taskhub.kb.segments.store import write
from taskhub.kb.tasks.steps import stop_if_asked
from taskhub.kb.vectors.embed import Made, NoVector, cached, keep, key_of, make
from taskhub.kb.vectors.embedders import Embedder, embedder
from taskhub.kb.vectors.remote import Remote
from taskhub.kb.vectors.rows import VectorRow
from taskhub.kb.vectors.store import store
from taskhub.queue import Context

# About a second of the local model: so long a pause or a cancel is not seen.
WHOLE_SEGMENTS = 64
# No text has more of them in a token; the rest is told when it is cut.
TOKEN_BYTES = 5


class Changed(Exception):
    """What was read of the document does not hold any more; its transaction is rolled back."""


def index_whole(ctx: Context, document_id: int) -> dict[str, int] | None:
    """The counts of a document that is now findable; None, and nothing done, if it takes more than this.

    It takes more where something was made of it before, where it is a new version, has many segments
    or children, where an endpoint makes the vectors, or a text has none.
    """
    with Session(ctx.hub.autocommit) as session:
        found = small.look(session, document_id, most_bytes=ctx.hub.settings.small_text_bytes)
        if found is None or not _is_short(found):
            return None
        model = _model(ctx, found)
        if isinstance(model, Remote):
            return None
        text = _cut(ctx, found)
        if not 0 < len(text.pieces) <= WHOLE_SEGMENTS:
            return None
        texts = {key_of(piece.text): piece.text for piece in text.pieces}
        known = cached(session, list(texts), model) if model is not None else {}
    stop_if_asked(ctx)
    missing = {key: text for key, text in texts.items() if key not in known}
    made = make(missing, model) if model is not None else {}
    if any(isinstance(vector, NoVector) for vector in made.values()):
        return None
    stop_if_asked(ctx)
    try:
        with ctx.hub.transaction() as session:
            ids = _write(session, found, text)
            if model is not None:
                keep(session, made, model)
                _store(session, found, text, ids, {**known, **made})
    except Changed:
        return None
    ctx.log.info("document indexed", extra={"document_id": document_id})
    return {"segments": len(text.pieces), "tokens": text.tokens, "characters": text.characters}


def _is_short(found: Small) -> bool:
    rule = found.rule
    most = WHOLE_SEGMENTS * max(rule.tokens - rule.overlap_tokens, 1) * TOKEN_BYTES
    return rule.mode is not Mode.PARENT_CHILD and len(found.content) <= most


def _model(ctx: Context, found: Small) -> Embedder | None:
    is_economy = found.technique is Technique.ECONOMY
    return None if is_economy else embedder(found.embedding_model, ctx.hub.settings)


def _cut(ctx: Context, found: Small) -> Cut:
    began = time.monotonic()
    limits = Limits.of(ctx.hub.settings)
    with io.BytesIO(found.content) as file:
        blocks = list(read(file, found.format, found.rule, limits))
    is_markdown = found.format is Format.MARKDOWN
    pieces = list(cut(blocks, found.rule, markdown=is_markdown, left_out=ctx.log.warning))
    return Cut(
        pieces=pieces,
        text_sha256=hashlib.sha256("".join(blocks).encode()).hexdigest(),
        characters=sum(map(len, blocks)),
        began=began,
        ended=time.monotonic(),
    )


def _write(session: Session, found: Small, text: Cut) -> dict[int, int]:
    if not small.complete(session, found, text):
        raise Changed
    return write(session, found.document_id, found.dataset_id, text.pieces, 0, findable=True)


def _store(
    session: Session, found: Small, text: Cut, ids: dict[int, int], vectors: Mapping[str, Made]
) -> None:
    rows = [
        VectorRow(ids[position], 0, found.dataset_id, vector)
        for position, piece in enumerate(text.pieces)
        if not isinstance(vector := vectors[key_of(piece.text)], NoVector)
    ]
    store(session).put(session, found.embedding_model, rows, fresh=True)
