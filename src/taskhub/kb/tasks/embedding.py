"""The last stage of a document whose model is an endpoint's: a job for each request, under its limit."""

from sqlalchemy.orm import Session

from taskhub.kb.datasets.models import Dataset
from taskhub.kb.documents.models import Document, DocumentState
from taskhub.kb.tasks import endpoint
from taskhub.kb.tasks.blueprint import kb
from taskhub.kb.tasks.completing import complete, counts
from taskhub.kb.tasks.steps import Paused, named, step
from taskhub.kb.vectors.embed import make
from taskhub.kb.vectors.embedders import embedder
from taskhub.kb.vectors.index import Batch, put, waiting
from taskhub.kb.vectors.price import Terms
from taskhub.kb.vectors.remote import Remote
from taskhub.queue import Backoff, Context, Fail

# What a token is to us and to the endpoint may differ; what it counted is settled afterwards.
Counts = dict[str, int]


@kb.task(
    name="document_embedding",
    index_args=("document_id",),
    queue="indexing",
    lock="document:{document_id}",
    fair_key="tenant:{tenant_id}",
    # An endpoint may be down for an hour: 2 s, 4 s, … up to 10 minutes between two attempts.
    retry=Backoff(max_attempts=14, ceiling_seconds=600),
)
def document_embedding(ctx: Context, document_id: int, tenant_id: int = 0) -> Counts:  # noqa: ARG001 - it decides whose turn it is
    """Ask the endpoint once for a document's vectors; the next job goes on."""
    with named(ctx, document_id):
        try:
            return _one_request(ctx, document_id)
        except Paused:
            return {"paused": 1}


def hand_on(ctx: Context, session: Session, document: Document, model: Remote) -> Counts:
    """Have the next request made by a job of its own, in the session's transaction, or end."""
    batch = waiting(session, document.id, model, limit=model.batch)
    session.refresh(document)
    if batch is None:
        return complete(ctx, session, document)
    held = _terms(ctx, model)
    following = document_embedding.options(
        session=session, limit=held.limit, tokens=held.price(_tokens(batch))
    )
    document.job_id = following.defer(document.id, tenant_id=document.tenant_id).id
    return {"embedding": document.job_id}


def _one_request(ctx: Context, document_id: int) -> Counts:
    with step(ctx, document_id) as (session, document):
        if document.state is DocumentState.COMPLETED:
            return counts(document)
        dataset = session.get_one(Dataset, document.dataset_id)
        model = embedder(dataset.embedding_model, ctx.hub.settings)
        if not isinstance(model, Remote):
            raise Fail(f"{model.name} is no model of an endpoint any more; retry the document")
        batch = waiting(session, document_id, model, limit=model.batch)
        if batch is None:
            session.refresh(document)
            return complete(ctx, session, document)
    held = _terms(ctx, model)
    if missing := batch.missing:
        with endpoint.asking(ctx, held, model, _tokens(batch)):
            made = make(missing, model)
    else:
        made = {}
    with step(ctx, document_id) as (session, document):
        put(session, batch, made, model)
        session.refresh(document)
        done, total = document.segments_done, document.segments_total
        answer = hand_on(ctx, session, document, model)
    ctx.progress(done, total, "indexing, segments")
    return answer


def _terms(ctx: Context, model: Remote) -> Terms:
    held = endpoint.terms(ctx.hub, model)
    assert held is not None  # noqa: S101 - the model is an endpoint's
    endpoint.hold(ctx.hub, held)
    return held


def _tokens(batch: Batch) -> int:
    """About what the endpoint will count; a word of ours may be two of its."""
    return sum(len(text.encode()) // 3 + 1 for text in batch.missing.values())
