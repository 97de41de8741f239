"""Segments get the texts that were asked for: one edited, one added, ten thousand imported."""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from taskhub.kb.datasets.models import Dataset, Technique
from taskhub.kb.documents import stages
from taskhub.kb.documents.failures import UnknownDocument
from taskhub.kb.documents.models import Document, DocumentState
from taskhub.kb.documents.state import Condition, status
from taskhub.kb.segments import edit
from taskhub.kb.tasks.blueprint import kb
from taskhub.kb.tasks.steps import BUSY_SECONDS
from taskhub.kb.vectors.embed import embed
from taskhub.kb.vectors.embedders import Embedder, embedder
from taskhub.kb.vectors.failures import EndpointBusy, EndpointRefused
from taskhub.queue import Backoff, Context, Fail, Snooze, Throttled

BATCH_EDITS = 64
SNOOZE_SECONDS = 15.0


# Unique until it starts: a hundred edits of a document wait for one job, and one that comes while
# the job runs for the next.
@kb.task(
    name="segment_indexing",
    queue="indexing",
    lock="document:{document_id}",
    unique="document:{document_id}",
    unique_until="started",
    retry=Backoff(max_attempts=3),
)
def segment_indexing(ctx: Context, document_id: int) -> dict[str, int]:
    """Let all edits of a document's segments be found; those of an import are edits as well.

    Ends as failed, with the reasons, when a text could not be used: the others are found all the
    same, and what it was to change is found by its old text.
    """
    counts = {"created": 0, "updated": 0}
    refused: list[str] = []
    try:
        while True:
            if ctx.cancelled:
                raise Fail(
                    "stopped between two batches, as somebody or the end of the worker asked"
                )
            done = _batch(ctx, document_id)
            if not done.tried:
                break
            counts["created"] += len(done.created)
            counts["updated"] += len(done.updated)
            refused += done.refused
            _tell(ctx, document_id, sum(counts.values()) + len(refused))
    except UnknownDocument as error:
        raise Fail(str(error)) from error
    if refused:
        raise Fail(f"{len(refused)} texts could not be used: {'; '.join(refused[:5])}")
    return counts


def _batch(ctx: Context, document_id: int) -> edit.Applied:
    with ctx.hub.transaction() as session:
        model = _model(ctx, session, _changeable(session, document_id))
        texts = edit.waiting_texts(session, document_id, BATCH_EDITS)
    if model is not None and texts:
        # The slow part, with no row locked: the vectors are in the cache when they are wanted.
        with ctx.hub.transaction() as session:
            _fill_cache(session, texts, model)
    with ctx.hub.transaction() as session:
        return edit.apply(session, _changeable(session, document_id), model, BATCH_EDITS)


def _fill_cache(session: Session, texts: Sequence[str], model: Embedder) -> None:
    try:
        embed(session, texts, model)
    except EndpointBusy as busy:
        raise Throttled(busy.retry_after or BUSY_SECONDS) from busy
    except EndpointRefused as refused:
        raise Fail(str(refused)) from refused


def _changeable(session: Session, document_id: int) -> Document:
    """The document's row, locked, if it is completed: only then are its positions its own."""
    document = stages.load(session, document_id)
    if document.state is DocumentState.COMPLETED:
        return document
    found = status(session, document_id)
    if found.condition in (Condition.WAITING, Condition.WORKING) or found.job_status == "todo":
        raise Snooze(SNOOZE_SECONDS)
    raise Fail(
        f"document {document_id} must be completed before its segments change, got {found.shown}; "
        f"see `taskhub document show {document_id}`, then retry this job"
    )


def _model(ctx: Context, session: Session, document: Document) -> Embedder | None:
    dataset = session.get_one(Dataset, document.dataset_id)
    return (
        None
        if dataset.technique is Technique.ECONOMY
        else embedder(dataset.embedding_model, ctx.hub.settings)
    )


def _tell(ctx: Context, document_id: int, done: int) -> None:
    with ctx.hub.transaction() as session:
        ctx.progress(done, done + edit.count_waiting(session, document_id))
