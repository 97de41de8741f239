"""`taskhub document …`: what is done to documents that are there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from taskhub.cli.audit import bulk, noted, with_reason
from taskhub.cli.datasets import TENANT, find_dataset
from taskhub.cli.errors import PARTLY, Failed
from taskhub.cli.options import Asked, confirm, say, verb
from taskhub.cli.output import Column, write_object, write_rows
from taskhub.queue import Hub

if TYPE_CHECKING:
    from taskhub.kb.ways_in.changes import Changed

_COLUMNS = (
    Column("document_id", "id", right=True),
    Column("outcome", wide=True),
    Column("job_id", "job", right=True),
)
_ids = click.argument("document_ids", type=click.IntRange(min=1), nargs=-1, required=True)
_some_ids = click.argument("document_ids", type=click.IntRange(min=1), nargs=-1)
_tenant = click.option("--tenant", default=TENANT, show_default=True)


def _tell(ctx: click.Context, changed: Iterable[Changed]) -> None:
    """One line a document; exit code 7 if some were not changed as asked."""
    asked: Asked = ctx.obj
    rows = list(changed)
    write_rows(asked, rows, _COLUMNS, key="document_id")
    if not all(row.is_done for row in rows):
        ctx.exit(PARTLY)


def _one_of(document_ids: Sequence[int], other: Any, told: str) -> None:
    if bool(document_ids) == bool(other):
        raise click.UsageError(f"give document ids or {told}, and not both")


def _whole(
    asked: Asked,
    hub: Hub,
    action: str,
    dataset: tuple[int, str],
    matched: int,
    change: Callable[[Hub, int], list[int]],
    told: str,
    sure: dict[str, Any],
) -> None:
    """Count, ask, change all that match in a dataset, and print the jobs."""
    dataset_id, name = dataset
    if sure["dry_run"]:
        write_object(asked, {"matched": matched, "dry_run": True}, key="matched")
        return
    confirm(f"{action} of {matched} documents in {name!r}?", yes=sure["yes"] or not matched)
    with noted(hub, f"document {action}", {"dataset": name}, sure["reason"]) as entry:
        jobs = change(hub, dataset_id)
        entry.matched = entry.changed = matched
    _tell_jobs(asked, jobs, told)


def _of_dataset_alone(dataset_name: str | None, sure: dict[str, Any]) -> None:
    if dataset_name is None and sure["dry_run"]:
        raise click.UsageError("--dry-run is for --dataset: ids are few, and each is told")


def _tell_jobs(asked: Asked, jobs: list[int], what: str) -> None:
    say(f"{len(jobs)} {what}; watch the documents with `taskhub document ls`")
    write_rows(asked, [{"job_id": n} for n in jobs], (Column("job_id", right=True),), key="job_id")


@verb(
    "retry",
    examples=("taskhub document retry 7 8", "taskhub document retry --failed --dataset handbook"),
)
@_some_ids
@click.option("--failed", is_flag=True, help="All that failed or were interrupted in --dataset.")
@click.option("--dataset", "dataset_name", help="The dataset of --failed.")
@_tenant
@bulk
@click.pass_context
def retry(
    ctx: click.Context,
    asked: Asked,
    /,
    document_ids: tuple[int, ...],
    failed: bool,
    dataset_name: str | None,
    tenant: str,
    **sure: Any,
) -> None:
    """Index documents again that failed, from where they stood; exit code 7 if some need no retry."""
    from taskhub.kb.documents import again
    from taskhub.kb.ways_in import changes

    _one_of(document_ids, failed, "--failed with --dataset")
    _of_dataset_alone(dataset_name, sure)
    if failed and dataset_name is None:
        raise click.UsageError("--failed needs --dataset")
    hub, _ = asked.hub()
    if dataset_name is not None:
        dataset_id = find_dataset(hub, dataset_name, tenant)
        with hub.transaction() as session:
            matched = len(again.failed(session, dataset_id))
        told = "jobs retry up to a thousand documents each"
        dataset = (dataset_id, dataset_name)
        _whole(asked, hub, "retry", dataset, matched, changes.retry_failed, told, sure)
        return
    with noted(hub, "document retry", {"ids": document_ids}, sure["reason"]):
        done = changes.retry_documents(hub, document_ids)
    _tell(ctx, done)


@verb(
    "sync",
    examples=("taskhub document sync 7 8", "taskhub document sync --dataset handbook"),
)
@_some_ids
@click.option("--dataset", "dataset_name", help="All of this dataset that have a source.")
@_tenant
@bulk
@click.pass_context
def sync(
    ctx: click.Context,
    asked: Asked,
    /,
    document_ids: tuple[int, ...],
    dataset_name: str | None,
    tenant: str,
    **sure: Any,
) -> None:
    """Compare documents with their files or web addresses, and index what has changed."""
    from taskhub.kb.documents.sync import with_source
    from taskhub.kb.ways_in import changes

    _one_of(document_ids, dataset_name, "--dataset")
    _of_dataset_alone(dataset_name, sure)
    hub, _ = asked.hub()
    if dataset_name is not None:
        dataset_id = find_dataset(hub, dataset_name, tenant)
        with hub.transaction() as session:
            matched = len(session.scalars(with_source(dataset_id)).all())
        told = "documents are compared with their sources"
        dataset = (dataset_id, dataset_name)
        _whole(asked, hub, "sync", dataset, matched, changes.sync_dataset, told, sure)
        return
    with noted(hub, "document sync", {"ids": document_ids}, sure["reason"]):
        done = changes.sync_documents(hub, document_ids)
    _tell(ctx, done)


@verb("update", examples=("taskhub document update --dataset handbook",))
@click.option("--dataset", "dataset_name", required=True)
@_tenant
@bulk
def update(asked: Asked, /, dataset_name: str, tenant: str, **sure: Any) -> None:
    """Cut and index a dataset's documents anew, because its rules have changed."""
    from taskhub.kb.documents.replace import replaceable
    from taskhub.kb.ways_in import changes

    hub, _ = asked.hub()
    dataset_id = find_dataset(hub, dataset_name, tenant)
    with hub.transaction() as session:
        matched = len(session.scalars(replaceable(dataset_id)).all())
    told = "documents are indexed anew beside what can be found"
    dataset = (dataset_id, dataset_name)
    _whole(asked, hub, "update", dataset, matched, changes.update_dataset, told, sure)


@verb(
    "fetch",
    examples=("taskhub document fetch https://example.org/manual.pdf --dataset handbook",),
)
@click.argument("url")
@click.option("--dataset", "dataset_name", required=True)
@_tenant
def fetch(asked: Asked, url: str, dataset_name: str, tenant: str) -> None:
    """Add what a web address stands for; a worker fetches it."""
    from taskhub.kb.documents.failures import BadDocument
    from taskhub.kb.ways_in import changes

    hub, _ = asked.hub()
    dataset_id = find_dataset(hub, dataset_name, tenant)
    try:
        added = changes.add_url(hub, dataset_id, url)
    except BadDocument as error:
        raise click.UsageError(str(error)) from error
    write_object(
        asked, {"document_id": added.document_id, "job_id": added.job_id}, key="document_id"
    )


@verb("replace", examples=("taskhub document replace 7 handbook-2.pdf",))
@click.argument("document_id", type=click.IntRange(min=1))
@click.argument("path", type=click.Path(path_type=Path))
@with_reason
def replace(asked: Asked, document_id: int, path: Path, reason: str) -> None:
    """Give a document a new file; the old text is found until the new one is whole."""
    from taskhub.kb.documents.failures import BadDocument, UnknownDocument
    from taskhub.kb.documents.switches import ArchivedDocument
    from taskhub.kb.ways_in import changes

    hub, _ = asked.hub()
    try:
        with noted(hub, "document replace", {"id": document_id, "file": path.name}, reason):
            done = changes.replace_document(hub, document_id, path)
    except (UnknownDocument, ArchivedDocument, BadDocument) as error:
        raise Failed(str(error)) from error
    told = {"document_id": document_id, "outcome": done.outcome, "job_id": done.job_id}
    write_object(asked, told, key="document_id")


@verb("rm", examples=("taskhub document rm 7 8 --dry-run", "taskhub document rm 7 8 --yes"))
@_ids
@bulk
@click.pass_context
def rm(
    ctx: click.Context,
    asked: Asked,
    document_ids: tuple[int, ...],
    dry_run: bool,
    yes: bool,
    reason: str,
) -> None:
    """Hide documents at once, and have a worker remove them; exit code 7 if some are not there."""
    from taskhub.kb.documents import switches
    from taskhub.kb.ways_in import changes

    hub, _ = asked.hub()
    with hub.transaction() as session:
        there = switches.segments_of(session, document_ids)
    if dry_run:
        rows = [
            {
                "document_id": n,
                "outcome": f"would go with {there[n]} segments" if n in there else "does not exist",
                "job_id": None,
            }
            for n in document_ids
        ]
        write_rows(asked, rows, _COLUMNS, key="document_id")
        if len(there) < len(set(document_ids)):
            ctx.exit(PARTLY)
        return
    if there:
        confirm(f"delete {len(there)} documents with {sum(there.values())} segments?", yes=yes)
    with noted(hub, "document rm", {"ids": document_ids}, reason) as entry:
        gone = changes.delete_documents(hub, document_ids)
        entry.matched, entry.changed = len(document_ids), len(there)
    _tell(ctx, gone)


def _switch(name: str, told: str, flag: str, on: bool) -> click.Command:
    def switch(
        ctx: click.Context, asked: Asked, document_ids: tuple[int, ...], reason: str
    ) -> None:
        from taskhub.kb.ways_in import changes

        hub, _ = asked.hub()
        with noted(hub, f"document {name}", {"ids": document_ids}, reason):
            if flag == "enabled":
                done = changes.enable_documents(hub, document_ids, enabled=on)
            else:
                done = changes.archive_documents(hub, document_ids, archived=on)
        _tell(ctx, done)

    switch.__doc__ = told
    made = click.pass_context(_ids(with_reason(switch)))
    return verb(name, examples=(f"taskhub document {name} 7 8",))(made)


VERBS = (
    rm,
    retry,
    sync,
    update,
    fetch,
    replace,
    _switch("enable", "Let searches find documents again, at once.", "enabled", True),
    _switch(
        "disable", "Let no search find documents, at once; nothing is removed.", "enabled", False
    ),
    _switch("archive", "Put documents away: not found, and not to be changed.", "archived", True),
    _switch("unarchive", "Take documents back that were put away.", "archived", False),
)
