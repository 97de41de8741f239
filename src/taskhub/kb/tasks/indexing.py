"""Documents become findable: waiting, parsing, cleaning, splitting, indexing, completed.

Plain text that is small goes all the way in one job. Every other file is parsed in a process of its
own, whose memory and time are bounded, and `document_indexing` takes over when the segments are stored.
"""

import time

from sqlalchemy.orm import Session

from taskhub.kb.datasets.models import Dataset, Technique
from taskhub.kb.documents.models import Document, DocumentState
from taskhub.kb.tasks import cutting, embedding
from taskhub.kb.tasks.blueprint import kb
from taskhub.kb.tasks.completing import complete, counts
from taskhub.kb.tasks.steps import Paused, named, step
from taskhub.kb.tasks.turns import turn
from taskhub.kb.tasks.whole import index_whole
from taskhub.kb.vectors.embed import make
from taskhub.kb.vectors.embedders import Embedder, embedder
from taskhub.kb.vectors.index import Batch, put, waiting
from taskhub.kb.vectors.remote import Remote
from taskhub.queue import Backoff, Context, CpuLimit, MemoryLimit, TaskTimeout
from taskhub.settings import Settings

FIRST_SEGMENTS = 16
MOST_SEGMENTS = 256
# How long one batch is embedded: between two a pause or a cancel is seen.
BATCH_SECONDS = 0.5
PARSE_MEMORY_MB = 512
# A reader that hangs in C cannot be asked to stop. Storing 100,000 segments takes minutes as well.
PARSE_JOB_SECONDS = 3600


# Runs again from where it stood: whole segments are kept, missing vectors are added.


@kb.task(
    name="document_indexing",
    index_args=("document_id",),
    queue="indexing",
    lock="document:{document_id}",
    fair_key="tenant:{tenant_id}",
    retry=Backoff(max_attempts=3),
)
def document_indexing(ctx: Context, document_id: int, tenant_id: int = 0) -> dict[str, int]:  # noqa: ARG001 - it decides whose turn it is
    """Make a document's passages findable; the counts are those of the document, not of this run."""
    with named(ctx, document_id):
        if (whole := index_whole(ctx, document_id)) is not None:
            return whole
        try:
            with step(ctx, document_id) as (session, document):
                if document.state is DocumentState.COMPLETED:
                    return counts(document)
                cutting.begin(ctx, session, document)
                if not _is_cut(ctx, session, document):
                    return {"parsing": _parse(ctx, session, document)}
                model = _model(ctx, session, document)
                if isinstance(model, Remote):
                    return embedding.hand_on(ctx, session, document, model)
                batch = waiting(session, document_id, model, limit=FIRST_SEGMENTS)
            return _made_findable(ctx, document_id, model, batch)
        except Paused:
            return {"paused": 1}


@kb.task(
    name="document_parsing",
    index_args=("document_id",),
    queue="indexing",
    executor="process",
    memory_mb=PARSE_MEMORY_MB,
    timeout=PARSE_JOB_SECONDS,
    lock="document:{document_id}",
    fair_key="tenant:{tenant_id}",
    retry=Backoff(max_attempts=3, never_on=(MemoryLimit, CpuLimit, TaskTimeout)),
)
def document_parsing(ctx: Context, document_id: int, tenant_id: int = 0) -> dict[str, int]:  # noqa: ARG001 - as above
    """Cut a file into segments in a process of its own, then have their vectors made."""
    with named(ctx, document_id):
        try:
            with step(ctx, document_id) as (session, document):
                if document.state is DocumentState.COMPLETED:
                    return counts(document)
                cutting.begin(ctx, session, document)
                must_cut = document.indexing_at is None
            if must_cut:
                cutting.cut(ctx, document_id)
            with step(ctx, document_id) as (session, document):
                job = turn(document_indexing, session, document, ctx.hub.settings)
                # Not at the front of its tenant's turn: it waited for that already.
                document.job_id = job.defer(document_id, tenant_id=document.tenant_id).id
                return {"segments": document.segments_total, "indexing": document.job_id}
        except Paused:
            return {"paused": 1}


def begin_work(session: Session, document: Document, settings: Settings) -> int:
    """Defer what a document needs, in the caller's transaction, and point its row at the job."""
    is_ready = document.indexing_at is not None
    small = cutting.is_small(document, settings.small_text_bytes)
    task = document_indexing if is_ready or small or document.format is None else document_parsing
    job = turn(task, session, document, settings)
    document.job_id = job.defer(document.id, tenant_id=document.tenant_id).id
    return document.job_id


def _is_cut(ctx: Context, session: Session, document: Document) -> bool:
    """Whether the segments are there, if need be cut here and now."""
    if document.indexing_at is not None:
        return True
    small = cutting.is_small(document, ctx.hub.settings.small_text_bytes)
    return small and cutting.cut_at_once(ctx, session, document)


def _parse(ctx: Context, session: Session, document: Document) -> int:
    job = turn(document_parsing, session, document, ctx.hub.settings)
    document.job_id = job.defer(document.id, tenant_id=document.tenant_id).id
    return document.job_id


def _model(ctx: Context, session: Session, document: Document) -> Embedder | None:
    dataset = session.get_one(Dataset, document.dataset_id)
    is_economy = dataset.technique is Technique.ECONOMY
    return None if is_economy else embedder(dataset.embedding_model, ctx.hub.settings)


def _made_findable(
    ctx: Context, document_id: int, model: Embedder | None, batch: Batch | None
) -> dict[str, int]:
    limit = FIRST_SEGMENTS
    while True:
        began = time.monotonic()
        # Outside of any transaction: nothing is locked while a model works.
        made = make(batch.missing, model) if batch is not None and model is not None else {}
        seconds = time.monotonic() - began
        with step(ctx, document_id) as (session, document):
            if document.state is DocumentState.COMPLETED:
                return counts(document)
            if batch is not None:
                put(session, batch, made, model)
            limit = _next_limit(limit, seconds)
            batch = waiting(session, document_id, model, limit=limit)
            session.refresh(document)
            if batch is None:
                return complete(ctx, session, document)
            done, total = document.segments_done, document.segments_total
        ctx.progress(done, total, "indexing, segments")


def _next_limit(limit: int, seconds: float) -> int:
    if seconds < BATCH_SECONDS / 2:
        return min(2 * limit, MOST_SEGMENTS)
    return max(limit // 2, FIRST_SEGMENTS // 2) if seconds > BATCH_SECONDS * 2 else limit
