"""Documents become findable: waiting, parsing, cleaning, splitting, indexing, completed."""

import itertools
import tempfile

from taskhub.kb.datasets.models import Dataset, Technique
from taskhub.kb.datasets.rule import rule_of
from taskhub.kb.documents import stages
from taskhub.kb.documents.add import read_again
from taskhub.kb.documents.extract import Format
from taskhub.kb.documents.failures import BadDocument, Problem, UnknownDocument
from taskhub.kb.documents.fetch import fetch
from taskhub.kb.documents.limits import Limits
from taskhub.kb.documents.models import DocumentState
from taskhub.kb.documents.read import read
from taskhub.kb.documents.spool import Spool
from taskhub.kb.segments.cut import cut
from taskhub.kb.segments.store import discard, store
from taskhub.kb.tasks.blueprint import kb
from taskhub.kb.tasks.steps import Paused, step
from taskhub.kb.vectors.embedders import embedder
from taskhub.kb.vectors.index import index
from taskhub.queue import Backoff, Context, Fail

STORE_SEGMENTS = 256
INDEX_SEGMENTS = 32  # 1.5 s of work at 20 full segments a second, and then a pause is seen
DISCARD_SEGMENTS = 1000


# Runs again from where it stood: whole segments are kept, missing vectors are added.


@kb.task(
    name="document_indexing",
    queue="indexing",
    lock="document:{document_id}",
    retry=Backoff(max_attempts=3),
)
def document_indexing(ctx: Context, document_id: int) -> dict[str, int]:
    """Make a document's passages findable; the counts are those of the document, not of this run."""
    try:
        if _began(ctx, document_id):
            _cut(ctx, document_id)
        return _made_findable(ctx, document_id)
    except Paused:
        return {"paused": 1}
    except UnknownDocument as error:
        raise Fail(str(error)) from error
    except BadDocument as problem:
        with ctx.hub.transaction() as session:
            stages.fail(session, stages.load(session, document_id), problem)
        # The reason is the file's: another try finds the same, until somebody mends it and retries.
        raise Fail(str(problem)) from problem


def _began(ctx: Context, document_id: int) -> bool:
    """Whether the document must be cut into segments; False if it has them all."""
    with step(ctx, document_id) as (session, document):
        if document.state is DocumentState.COMPLETED:
            return False
        if document.format is None:
            # The file could not be taken in. It may be there by now: that is what a retry is for.
            read_again(session, document, max_file_bytes=ctx.hub.settings.max_file_bytes)
        if document.format is None:
            raise BadDocument(Problem(document.error_kind or ""), document.error or "")
        stages.start(session, document)
        return document.indexing_at is None


def _cut(ctx: Context, document_id: int) -> None:
    with tempfile.TemporaryFile() as file:
        with step(ctx, document_id) as (session, document):
            fetch(session, document_id, file)
            kind = Format(document.format or "")
            dataset = session.get_one(Dataset, document.dataset_id)
            rule = rule_of(dataset, document)
        with Spool(read(file, kind, rule, Limits.of(ctx.hub.settings))) as raw:
            with step(ctx, document_id) as (session, document):
                stages.enter(session, document, DocumentState.CLEANING)
            text = Spool(raw.blocks())
    with text:
        with step(ctx, document_id) as (session, document):
            document.characters = text.characters
            stages.enter(session, document, DocumentState.SPLITTING)
        _discard(ctx, document_id)
        pieces = cut(
            text.blocks(), rule, markdown=kind is Format.MARKDOWN, left_out=ctx.log.warning
        )
        position = 0
        while batch := list(itertools.islice(pieces, STORE_SEGMENTS)):
            with step(ctx, document_id) as (session, document):
                store(session, document, batch, position)
            position += len(batch)
    with step(ctx, document_id) as (session, document):
        if document.segments_total == 0:
            raise BadDocument(Problem.NO_TEXT, f"no text in the {kind.value} file after cleaning")
        stages.enter(session, document, DocumentState.INDEXING)


def _discard(ctx: Context, document_id: int) -> None:
    """A crash between two batches left segments, or the document is indexed again."""
    while True:
        with step(ctx, document_id) as (session, _):
            if not discard(session, document_id, DISCARD_SEGMENTS):
                return


def _made_findable(ctx: Context, document_id: int) -> dict[str, int]:
    while True:
        with step(ctx, document_id) as (session, document):
            if document.state is not DocumentState.COMPLETED:
                dataset = session.get_one(Dataset, document.dataset_id)
                is_economy = dataset.technique is Technique.ECONOMY
                model = None if is_economy else embedder(dataset.embedding_model)
                batch = index(session, document_id, model, limit=INDEX_SEGMENTS)
                if batch.done or batch.left_out:
                    continue
                session.refresh(document)
                stages.complete(session, document)
                ctx.log.info("document indexed", extra={"document_id": document_id})
            return {
                "segments": document.segments_total,
                "tokens": document.tokens,
                "characters": document.characters,
            }
