"""`taskhub document …`: what is done to documents that are there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from taskhub.cli.datasets import TENANT, find_dataset
from taskhub.cli.errors import PARTLY, Failed
from taskhub.cli.options import Asked, confirm, say, verb
from taskhub.cli.output import Column, write_object, write_rows

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
@click.pass_context
def retry(
    ctx: click.Context,
    asked: Asked,
    document_ids: tuple[int, ...],
    failed: bool,
    dataset_name: str | None,
    tenant: str,
) -> None:
    """Index documents again that failed, from where they stood; exit code 7 if some need no retry."""
    from taskhub.kb.ways_in import changes

    _one_of(document_ids, failed, "--failed with --dataset")
    if failed and dataset_name is None:
        raise click.UsageError("--failed needs --dataset")
    hub, _ = asked.hub()
    if dataset_name is not None:
        jobs = changes.retry_failed(hub, find_dataset(hub, dataset_name, tenant))
        _tell_jobs(asked, jobs, "jobs retry up to a thousand documents each")
        return
    _tell(ctx, changes.retry_documents(hub, document_ids))


@verb(
    "sync",
    examples=("taskhub document sync 7 8", "taskhub document sync --dataset handbook"),
)
@_some_ids
@click.option("--dataset", "dataset_name", help="All of this dataset that have a source.")
@_tenant
@click.pass_context
def sync(
    ctx: click.Context,
    asked: Asked,
    document_ids: tuple[int, ...],
    dataset_name: str | None,
    tenant: str,
) -> None:
    """Compare documents with their files or web addresses, and index what has changed."""
    from taskhub.kb.ways_in import changes

    _one_of(document_ids, dataset_name, "--dataset")
    hub, _ = asked.hub()
    if dataset_name is not None:
        jobs = changes.sync_dataset(hub, find_dataset(hub, dataset_name, tenant))
        _tell_jobs(asked, jobs, "documents are compared with their sources")
        return
    _tell(ctx, changes.sync_documents(hub, document_ids))


@verb("update", examples=("taskhub document update --dataset handbook",))
@click.option("--dataset", "dataset_name", required=True)
@_tenant
def update(asked: Asked, dataset_name: str, tenant: str) -> None:
    """Cut and index a dataset's documents anew, because its rules have changed."""
    from taskhub.kb.ways_in import changes

    hub, _ = asked.hub()
    jobs = changes.update_dataset(hub, find_dataset(hub, dataset_name, tenant))
    _tell_jobs(asked, jobs, "documents are indexed anew beside what can be found")


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
def replace(asked: Asked, document_id: int, path: Path) -> None:
    """Give a document a new file; the old text is found until the new one is whole."""
    from taskhub.kb.documents.failures import BadDocument, UnknownDocument
    from taskhub.kb.documents.switches import ArchivedDocument
    from taskhub.kb.ways_in import changes

    hub, _ = asked.hub()
    try:
        done = changes.replace_document(hub, document_id, path)
    except (UnknownDocument, ArchivedDocument, BadDocument) as error:
        raise Failed(str(error)) from error
    told = {"document_id": document_id, "outcome": done.outcome, "job_id": done.job_id}
    write_object(asked, told, key="document_id")


@verb("rm", examples=("taskhub document rm 7 8 --dry-run", "taskhub document rm 7 8 --yes"))
@_ids
@click.option("--dry-run", is_flag=True, help="Count what would go.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_context
def rm(
    ctx: click.Context, asked: Asked, document_ids: tuple[int, ...], dry_run: bool, yes: bool
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
    _tell(ctx, changes.delete_documents(hub, document_ids))


def _switch(name: str, told: str, flag: str, on: bool) -> click.Command:
    def switch(ctx: click.Context, asked: Asked, document_ids: tuple[int, ...]) -> None:
        from taskhub.kb.ways_in import changes

        hub, _ = asked.hub()
        if flag == "enabled":
            _tell(ctx, changes.enable_documents(hub, document_ids, enabled=on))
        else:
            _tell(ctx, changes.archive_documents(hub, document_ids, archived=on))

    switch.__doc__ = told
    return verb(name, examples=(f"taskhub document {name} 7 8",))(click.pass_context(_ids(switch)))


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
