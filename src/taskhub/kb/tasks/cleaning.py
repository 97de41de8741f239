"""What goes, goes in the background: bounded, repeatable, safe against running index jobs."""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from taskhub.accounts import tenants
from taskhub.kb.cleaning import hide, history, kinds, orphans, unused
from taskhub.kb.datasets import clean as datasets
from taskhub.kb.tasks.blueprint import kb
from taskhub.kb.tasks.removal import remove
from taskhub.kb.tasks.steps import stop_if_asked
from taskhub.kb.vectors import cache
from taskhub.queue import Backoff, Context, Fail, Hub, cancel_within

HIDE_DOCUMENTS = 100
CACHE_ROWS = 1000
DISABLE_DOCUMENTS = 500
DELETED = "deleted with its dataset or by itself"


@kb.task(
    name="clean_dataset",
    queue="cleaning",
    lock="dataset:{dataset_id}",
    unique="clean_dataset:{dataset_id}",
    retry=Backoff(max_attempts=3),
)
def clean_dataset(ctx: Context, dataset_id: int) -> dict[str, int]:
    """Remove a dataset's rows in batches, each its own transaction; rows gone, by kind.

    Index jobs that run on its documents are stopped, and waited for at their current batch. It ends
    as failed, with the reasons, when rows could not go; the others are gone all the same.
    """
    _dataset_hidden(ctx, dataset_id)
    return remove(ctx, datasets.owned(dataset_id), f"dataset {dataset_id}")


@kb.task(
    name="clean_document",
    index_args=("document_id",),
    queue="cleaning",
    lock="document:{document_id}",
    unique="clean_document:{document_id}",
    retry=Backoff(max_attempts=3),
)
def clean_document(ctx: Context, document_id: int) -> dict[str, int]:
    """Remove a document with its file, segments and vectors; rows gone, by kind.

    The lock lets its index job end first; one that is deferred later finds nothing and ends.
    """
    return _documents_removed(ctx, [document_id])


@kb.task(name="batch_clean_document", queue="cleaning", retry=Backoff(max_attempts=3))
def batch_clean_document(ctx: Context, document_ids: list[int]) -> dict[str, int]:
    """Remove documents with all they have; rows gone, by kind. Those that are gone already count 0.

    Without a lock: it is the rows that are locked while each document is hidden, so a batch of
    indexing that is under way is waited for and none begins after it.
    """
    return _documents_removed(ctx, document_ids)


def withdraw(session: Session, hub: Hub, document_ids: Sequence[int]) -> list[int]:
    """Hide documents, and stop the jobs that work on them, in the caller's transaction; those there are."""
    found = hide.hide_documents(session, document_ids)
    _stop_jobs(session, hub, found)
    return found


def _stop_jobs(session: Session, hub: Hub, document_ids: Sequence[int]) -> None:
    cancel_within(session, hub, hide.jobs_of_documents(session, document_ids), reason=DELETED)


def _documents_removed(ctx: Context, document_ids: list[int]) -> dict[str, int]:
    ids = sorted(set(document_ids))
    for start in range(0, len(ids), HIDE_DOCUMENTS):
        stop_if_asked(ctx)
        some = ids[start : start + HIDE_DOCUMENTS]
        with ctx.hub.transaction() as session:
            withdraw(session, ctx.hub, some)
    return remove(ctx, kinds.owned(kinds.table("documents"), ids), f"{len(ids)} documents")


@kb.task(
    name="clean_app",
    queue="cleaning",
    lock="app:{app_id}",
    unique="clean_app:{app_id}",
    retry=Backoff(max_attempts=3),
)
def clean_app(ctx: Context, app_id: int) -> dict[str, int]:
    """Remove an app: messages, conversations, annotations with vectors and hits, imports, settings.

    Its datasets stay; only the app's use of them goes. Rows gone, by kind.
    """
    with ctx.hub.transaction() as session:
        hide.hide_app(session, app_id)
    return remove(ctx, kinds.owned(kinds.table("apps"), [app_id]), f"app {app_id}")


@kb.task(
    name="clean_tenant",
    queue="cleaning",
    lock="tenant:{tenant_id}",
    unique="clean_tenant:{tenant_id}",
    retry=Backoff(max_attempts=3),
)
def clean_tenant(ctx: Context, tenant_id: int) -> dict[str, int]:
    """Remove a tenant whose last person has gone, with its datasets and apps; rows gone, by kind.

    It ends as failed, and nothing goes, where somebody is in the tenant.
    """
    with ctx.hub.transaction() as session:
        if tenants.has_people(session, tenant_id):
            raise Fail(f"tenant {tenant_id} has people in it; only one without any is removed")
        dataset_ids, app_ids = hide.of_tenant(session, tenant_id)
        for app_id in app_ids:
            hide.hide_app(session, app_id)
    for dataset_id in dataset_ids:
        _dataset_hidden(ctx, dataset_id)
    return remove(ctx, kinds.owned(kinds.table("tenants"), [tenant_id]), f"tenant {tenant_id}")


def _dataset_hidden(ctx: Context, dataset_id: int) -> None:
    """Hide a dataset and each of its documents, waiting for the batch that is under way."""
    with ctx.hub.transaction() as session:
        hide.hide_dataset(session, dataset_id)
    after_id = 0
    while True:
        stop_if_asked(ctx)
        with ctx.hub.transaction() as session:
            ids = hide.hide_batch(session, dataset_id, after_id, HIDE_DOCUMENTS)
            _stop_jobs(session, ctx.hub, ids)
        if not ids:
            return
        after_id = ids[-1]


@kb.cron("0 3 * * *", name="clean_unused_datasets", queue="cleaning", lock="clean_unused_datasets")
def clean_unused_datasets(ctx: Context, days: int | None = None) -> dict[str, int]:
    """Disable the documents of datasets that got no document and no search for so many days.

    `days`: default the setting unused_dataset_days; 0 disables nothing. Each document is noted for
    the notice to its owner. Nothing is removed: enabling a document is all it takes to find it.
    """
    days = ctx.hub.settings.unused_dataset_days if days is None else days
    counts = {"datasets": 0, "documents": 0}
    after_id = 0
    while days > 0:
        stop_if_asked(ctx)
        with ctx.hub.transaction() as session:
            dataset_id = unused.following(session, after_id, days)
        if dataset_id is None:
            break
        after_id = dataset_id
        disabled = 0
        while True:
            stop_if_asked(ctx)
            with ctx.hub.transaction() as session:
                batch = unused.disable_batch(session, dataset_id, days, DISABLE_DOCUMENTS)
            disabled += batch
            if batch < DISABLE_DOCUMENTS:
                break
        counts["datasets"] += disabled > 0
        counts["documents"] += disabled
        ctx.progress(counts["documents"], note="documents disabled")
    return counts


@kb.cron("0 2 * * *", name="clean_embedding_cache", queue="cleaning", lock="clean_embedding_cache")
def clean_embedding_cache(ctx: Context, days: int | None = None) -> dict[str, int]:
    """Remove cached embeddings made more than so many days ago; default the setting embedding_cache_days.

    With 0 all of them stay.
    """
    days = ctx.hub.settings.embedding_cache_days if days is None else days
    gone = 0
    while days > 0:
        stop_if_asked(ctx)
        with ctx.hub.transaction() as session:
            batch = cache.prune(session, days, CACHE_ROWS)
        gone += batch
        ctx.progress(gone, note="embeddings removed")
        if batch < CACHE_ROWS:
            break
    return {"embeddings": gone}


@kb.cron("0 4 * * *", name="clean_messages", queue="cleaning", lock="clean_messages")
def clean_messages(ctx: Context, days: int | None = None) -> dict[str, int]:
    """Remove messages and hits older than so many days, and old reports of imports; rows gone, by kind.

    `days`: default the setting message_days; 0 keeps all messages. Imports that are finished go
    after the setting import_days. What they made stays, and annotations do.
    """
    days = ctx.hub.settings.message_days if days is None else days
    import_days = ctx.hub.settings.import_days
    gone: dict[str, int] = {}
    if days > 0:
        with ctx.hub.transaction() as session:
            before = history.cutoff(session, days)
        gone |= remove(ctx, history.older(before), f"older than {days} days")
    if import_days > 0:
        with ctx.hub.transaction() as session:
            before = history.cutoff(session, import_days)
        gone |= remove(ctx, history.finished_imports(before), f"older than {import_days} days")
    return gone


@kb.task(name="clean_orphans", queue="cleaning", lock="clean_orphans")
def clean_orphans(ctx: Context) -> dict[str, int]:
    """Remove rows without their owner, and clean again what was deleted but is still there."""
    with ctx.hub.transaction() as session:
        left = orphans.left_behind(session)
        for dataset_id in left.dataset_ids:
            clean_dataset.options(session=session).defer(dataset_id)
        for app_id in left.app_ids:
            clean_app.options(session=session).defer(app_id)
        for document_id in left.document_ids:
            clean_document.options(session=session).defer(document_id)
    gone = remove(ctx, orphans.kinds(), "orphans")
    deferred = len(left.dataset_ids) + len(left.app_ids) + len(left.document_ids)
    return gone | ({"cleaned again": deferred} if deferred else {})
