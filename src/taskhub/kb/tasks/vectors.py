"""A dataset's vectors: built with another model, built anew, removed."""

from dataclasses import dataclass, field

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


@dataclass(slots=True)
class _Build:
    """One run of building; what has no vector is remembered until the switch."""

    ctx: Context
    dataset_id: int
    model: Embedder
    left_out: dict[int, change.LeftOut] = field(default_factory=dict)
    built: int = 0

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
    feedback=True,
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
    with ctx.hub.transaction() as session:
        dataset = session.get(Dataset, dataset_id)
        name = dataset.next_model if dataset is not None else None
    if name is None:
        raise change.Superseded
    try:
        build = _Build(ctx, dataset_id, embedder(name, ctx.hub.settings))
    except UnknownEmbedder as error:
        raise Fail(str(error)) from error
    held = endpoint.terms(ctx.hub, build.model)
    if held is not None and requests == 0:
        return _handed_on(build, held)
    while True:
        while _batch(build, held):
            if held is not None:
                return _handed_on(build, held)
        if _switched(build):
            return {"built": build.built, "left_out": len(build.left_out)}


def _batch(build: _Build, held: Terms | None) -> bool:
    """Build the next batch; False at the end of a round."""
    _look(build)
    hub, dataset_id, model = build.ctx.hub, build.dataset_id, build.model
    with hub.transaction() as session:
        batch = change.lacking(session, dataset_id, model, limit=build.batch_segments)
        if batch is None:
            return False
        done, total = _progress(session, dataset_id, batch.parts[0].segment_id)
    build.ctx.progress(done, max(total, done, 1), f"vectors of {model.name}")
    if held is not None and isinstance(model, Remote) and batch.missing:
        with endpoint.asking(build.ctx, held, model, batch.tokens):
            made = make(batch.missing, model)
    else:
        made = make(batch.missing, model)
    with hub.transaction() as session:
        left_out = change.put_beside(session, dataset_id, batch, made, model)
    build.left_out |= left_out
    build.built += len({part.segment_id for part in batch.parts}) - len(left_out)
    return True


def _switched(build: _Build) -> bool:
    """Change to the new model; False when segments came meanwhile, and another round is due."""
    try:
        with build.ctx.hub.transaction() as session:
            change.switch(session, build.dataset_id, build.model, build.left_out)
            defer_removal(session, build.dataset_id)
    except change.NotYet:
        with build.ctx.hub.transaction() as session:
            change.begin_round(session, build.dataset_id, build.model)
        return False
    told = {"dataset_id": build.dataset_id, "model": build.model.name}
    build.ctx.log.info("search uses another model", extra=told)
    return True
