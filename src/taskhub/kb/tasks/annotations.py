"""Annotations: imported, indexed, switched on and off; one job at a time for each app, by its lock."""

from taskhub.kb.annotations import imports, index, reply, write
from taskhub.kb.apps import create as apps
from taskhub.kb.cleaning import kinds
from taskhub.kb.tasks.blueprint import kb
from taskhub.kb.tasks.removal import remove
from taskhub.kb.tasks.steps import stop_if_asked
from taskhub.queue import Backoff, Context, Fail

IMPORT_ROWS = 500
INDEX_ANNOTATIONS = 64


@kb.task(
    name="batch_import_annotations",
    queue="annotation",
    lock="app:{app_id}",
    # One tenant's imports leave room for the others'; `hub.limit` changes it for one of them.
    limit="annotation_import:{tenant_id}",
    at_most=2,
    retry=Backoff(max_attempts=3),
)
def batch_import_annotations(
    ctx: Context, import_id: int, app_id: int, tenant_id: int
) -> dict[str, int]:
    """Make annotations of an import's rows, then give them vectors if the app answers by them.

    It goes on where an earlier run stopped. Bad rows are in the import's report.
    """
    del tenant_id  # what the limit is filled with
    _require_app(ctx, app_id)
    try:
        with ctx.hub.transaction() as session:
            known = imports.report(session, import_id)
    except imports.UnknownImport as error:
        raise Fail(str(error)) from error
    taken = known.rows - known.waiting
    while True:
        stop_if_asked(ctx)
        with ctx.hub.transaction() as session:
            batch = imports.import_batch(session, import_id, IMPORT_ROWS)
        taken += batch
        ctx.progress(taken, known.rows, "rows imported")
        if batch < IMPORT_ROWS:
            break
    indexed = _indexed_where_on(ctx, app_id)
    with ctx.hub.transaction() as session:
        imports.finish(session, import_id)
        done = imports.report(session, import_id)
    return {"rows": done.rows, "imported": done.imported, "bad": len(done.bad), **indexed}


@kb.task(
    name="add_annotation_index",
    queue="annotation",
    lock="app:{app_id}",
    retry=Backoff(max_attempts=5),
)
def add_annotation_index(ctx: Context, app_id: int, annotation_id: int) -> bool:
    """Give a new annotation its vector; False if the app answers by none, or it is gone or disabled."""
    return _indexed_alone(ctx, app_id, annotation_id)


@kb.task(
    name="update_annotation_index",
    queue="annotation",
    lock="app:{app_id}",
    retry=Backoff(max_attempts=5),
)
def update_annotation_index(ctx: Context, app_id: int, annotation_id: int) -> bool:
    """Give an annotation the vector of its new question; the old one answers nothing since the edit."""
    return _indexed_alone(ctx, app_id, annotation_id)


@kb.task(
    name="delete_annotation_index",
    queue="annotation",
    lock="app:{app_id}",
    retry=Backoff(max_attempts=3),
)
def delete_annotation_index(
    ctx: Context, app_id: int, annotation_ids: list[int], with_rows: bool = False
) -> dict[str, int]:
    """Remove the vectors of disabled annotations; with their rows and hits if they were deleted."""
    del app_id  # what the lock is filled with
    if with_rows:
        return remove(ctx, kinds.owned(kinds.table("annotations"), annotation_ids), "annotations")
    return remove(ctx, index.vectors_of(annotation_ids), "vectors")


@kb.task(
    name="enable_annotation_reply",
    queue="annotation",
    lock="app:{app_id}",
    retry=Backoff(max_attempts=5),
)
def enable_annotation_reply(
    ctx: Context, app_id: int, score_threshold: float, model: str
) -> dict[str, int]:
    """Build the vectors of the model beside what answers now, switch in one transaction, remove the rest.

    Until the switch the app answers as before. One that is added meanwhile has a job of its own,
    which waits for this one's lock.
    """
    _require_app(ctx, app_id)
    indexed = _indexed(ctx, app_id, model)
    with ctx.hub.transaction() as session:
        reply.switch_on(session, app_id, score_threshold, model)
    removed = remove(ctx, index.vectors_of_others(app_id, model), "vectors of the model before")
    return {**indexed, "removed": sum(removed.values())}


@kb.task(
    name="disable_annotation_reply",
    queue="annotation",
    lock="app:{app_id}",
    retry=Backoff(max_attempts=3),
)
def disable_annotation_reply(ctx: Context, app_id: int) -> dict[str, int]:
    """Let the app answer by no annotation, and remove their vectors; the annotations stay."""
    with ctx.hub.transaction() as session:
        reply.switch_off(session, app_id)
    removed = remove(ctx, index.vectors_of_others(app_id, None), "vectors")
    return {"removed": sum(removed.values())}


def _require_app(ctx: Context, app_id: int) -> None:
    try:
        with ctx.hub.transaction() as session:
            apps.get(session, app_id)
    except apps.UnknownApp as error:
        raise Fail(str(error)) from error


def _indexed(ctx: Context, app_id: int, model: str) -> dict[str, int]:
    """Give every annotation of the app that lacks it its vector, in batches."""
    with ctx.hub.transaction() as session:
        total = index.count_lacking(session, app_id, model)
    counts = {"indexed": 0, "left_out": 0}
    after_id: int | None = 0
    while after_id is not None:
        stop_if_asked(ctx)
        with ctx.hub.transaction() as session:
            batch = index.index_batch(
                session, app_id, model, after_id=after_id, limit=INDEX_ANNOTATIONS
            )
        counts["indexed"] += batch.done
        counts["left_out"] += batch.left_out
        tried = sum(counts.values())
        ctx.progress(tried, max(total, tried, 1), "annotations indexed")
        after_id = batch.last_id
    return counts


def _indexed_where_on(ctx: Context, app_id: int) -> dict[str, int]:
    with ctx.hub.transaction() as session:
        setting = reply.setting(session, app_id)
        model = None if setting is None else setting.embedding_model
    return {} if model is None else _indexed(ctx, app_id, model)


def _indexed_alone(ctx: Context, app_id: int, annotation_id: int) -> bool:
    with ctx.hub.transaction() as session:
        setting = reply.setting(session, app_id)
        if setting is None:
            return False
        batch = index.index_one(session, app_id, setting.embedding_model, annotation_id)
        reason = write.get(session, annotation_id).index_error if batch.left_out else None
    if batch.left_out:
        raise Fail(f"annotation {annotation_id} has no vector: {reason}")
    return batch.done > 0
