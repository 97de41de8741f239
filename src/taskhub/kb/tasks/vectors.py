"""A dataset's vectors: built with another model, built anew, removed."""

from dataclasses import dataclass

from sqlalchemy.orm import Session

from taskhub.kb.datasets.models import Dataset
from taskhub.kb.tasks import endpoint
from taskhub.kb.tasks.blueprint import kb
from taskhub.kb.vectors import change
from taskhub.kb.vectors.embed import make
from taskhub.kb.vectors.embedders import Embedder, UnknownEmbedder, embedder
from taskhub.kb.vectors.price import Terms
from taskhub.kb.vectors.remote import Remote
from taskhub.queue import Backoff, Context, Fail

BUILD_SEGMENTS = 64
REMOVE_VECTORS = 1000
# A search that began before the switch looks for the old vectors: its statements end before this.
KEEP_OLD_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class _Build:
    """One run of building."""

    ctx: Context
    dataset_id: int
    model: Embedder
    held: Terms | None

    @property
    def batch_segments(self) -> int:
        return self.model.batch if isinstance(self.model, Remote) else BUILD_SEGMENTS


# Runs again from where it stood: the place is stored with each batch.


@kb.task(
    name="vector_indexing",
    queue="indexing",
    lock="dataset:{dataset_id}",
    # An endpoint may be down for an hour: 2 s, 4 s, … up to 10 minutes between two attempts.
    retry=Backoff(max_attempts=14, ceiling_seconds=600),
)
def vector_indexing(
    ctx: Context, dataset_id: int, action: str = "build", requests: int = 0
) -> dict[str, int]:
    """Build a dataset's vectors with its next model and change to it, or remove the old ones.

    A model of an endpoint is asked `requests` times by one job, which holds its limit for that;
    the next job goes on.
    """
    if action == "remove":
        return {"removed": _removed(ctx, dataset_id)}
    if action != "build":
        raise Fail(f"action must be build or remove, got {action!r}")
    try:
        return _built(ctx, dataset_id, requests)
    except change.Superseded:
        ctx.log.info("another change was asked for", extra={"dataset_id": dataset_id})
        return {"superseded": 1}


def defer_removal(session: Session, dataset_id: int) -> int:
    """Have the vectors that no search uses removed, once searches that began before are over."""
    later = vector_indexing.options(session=session, delay=KEEP_OLD_SECONDS)
    return later.defer(dataset_id, "remove").id


def _built(ctx: Context, dataset_id: int, requests: int) -> dict[str, int]:
    build = _begun(ctx, dataset_id)
    with ctx.hub.transaction() as session:
        done, total = change.place(session, dataset_id)
    while True:
        if ctx.cancelled:
            raise Fail("stopped between two batches, as somebody or the end of the worker asked")
        ctx.progress(done, max(total, done, 1), f"vectors of {build.model.name}")
        with ctx.hub.transaction() as session:
            batch = change.lacking(session, dataset_id, build.model, limit=build.batch_segments)
        if batch is None:
            if (left_out := _switched(build)) is not None:
                return {"segments": total, "left_out": left_out}
            continue
        if build.held is not None and batch.missing:
            if requests == 0:
                return _handed_on(build, build.held, batch)
            requests -= 1
        _put(build, batch)
        done += len(batch.sha256s)


def _begun(ctx: Context, dataset_id: int) -> _Build:
    with ctx.hub.transaction() as session:
        dataset = session.get(Dataset, dataset_id)
        name = dataset.next_model if dataset is not None else None
    if name is None:
        raise change.Superseded
    try:
        model = embedder(name, ctx.hub.settings)
    except UnknownEmbedder as error:
        raise Fail(str(error)) from error
    return _Build(ctx, dataset_id, model, endpoint.terms(ctx.hub, model))


def _put(build: _Build, batch: change.Lacking) -> None:
    if build.held is not None and isinstance(build.model, Remote) and batch.missing:
        with endpoint.asking(build.ctx, build.held, build.model, batch.tokens):
            made = make(batch.missing, build.model)
    else:
        made = make(batch.missing, build.model)
    with build.ctx.hub.transaction() as session:
        change.put_beside(session, build.dataset_id, batch, made, build.model)


def _handed_on(build: _Build, held: Terms, batch: change.Lacking) -> dict[str, int]:
    """The next request is a job of its own, which starts when the limit has room for it."""
    endpoint.hold(build.ctx.hub, held)
    with build.ctx.hub.transaction() as session:
        following = vector_indexing.options(
            session=session, limit=held.limit, tokens=held.price(batch.tokens)
        ).defer(build.dataset_id, "build", requests=1)
    return {"goes_on_as": following.id}


def _switched(build: _Build) -> int | None:
    """Change to the new model, how many segments it leaves out; None when another round is due."""
    try:
        with build.ctx.hub.transaction() as session:
            left_out = change.switch(session, build.dataset_id, build.model)
            defer_removal(session, build.dataset_id)
    except change.NotYet:
        with build.ctx.hub.transaction() as session:
            change.begin_round(session, build.dataset_id, build.model)
        return None
    told = {"dataset_id": build.dataset_id, "model": build.model.name, "left_out": left_out}
    build.ctx.log.info("search uses another model", extra=told)
    return left_out


def _removed(ctx: Context, dataset_id: int) -> int:
    gone = 0
    while not ctx.cancelled:
        with ctx.hub.transaction() as session:
            batch = change.remove_old(session, dataset_id, REMOVE_VECTORS)
        if not batch:
            return gone
        gone += batch
        ctx.progress(gone, note="old vectors removed")
    raise Fail("stopped between two batches, as somebody or the end of the worker asked")
