"""`taskhub dataset` and `taskhub document`: the knowledge base by hand."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import click

from taskhub.cli import changes, embedding
from taskhub.cli.audit import bulk, noted
from taskhub.cli.datasets import TENANT, find_dataset
from taskhub.cli.describe import describe
from taskhub.cli.errors import PARTLY, Failed
from taskhub.cli.options import Asked, Verbs, confirm, say
from taskhub.cli.output import Column, visible, write_object, write_rows
from taskhub.cli.progress import progress
from taskhub.cli.search import search
from taskhub.cli.texts import preview, rule_of_options, rule_options

_DOCUMENTS = (Column("id", right=True), Column("name"), Column("state"), Column("error", wide=True))


@click.group(
    "dataset", cls=Verbs, examples=("taskhub dataset create handbook", "taskhub dataset ls")
)
def dataset() -> None:
    """Datasets of the knowledge base."""


dataset.add_command(embedding.set_model)
dataset.add_command(embedding.rebuild)


@click.group(
    "document",
    cls=Verbs,
    examples=(
        "taskhub document add docs/ --dataset handbook",
        "taskhub document search 'parental leave'",
    ),
)
def document() -> None:
    """Documents of the knowledge base."""


for _verb in changes.VERBS:
    document.add_command(_verb)
document.add_command(preview)


@dataset.command(
    "create",
    examples=(
        "taskhub dataset create handbook",
        "taskhub dataset create faq --mode qa",
        "taskhub dataset create laws --mode parent_child --tokens 1000 --child-tokens 120",
    ),
)
@click.argument("name")
@click.option("--tenant", default=TENANT, show_default=True)
@click.option("--economy", is_flag=True, help="Words only, no vectors.")
@rule_options
@click.pass_obj
def create(asked: Asked, /, name: str, tenant: str, economy: bool, **chosen: Any) -> None:
    """Make an empty dataset, and say how its documents are cut."""
    from taskhub.accounts.tenants import ensure
    from taskhub.kb.datasets import create as datasets
    from taskhub.kb.datasets.models import Technique

    hub, _ = asked.hub()
    settings = hub.settings
    rule = rule_of_options(settings, chosen)
    try:
        with hub.transaction() as session:
            made = datasets.create(
                session,
                ensure(session, tenant).id,
                name,
                embedding_model=settings.embedder,
                technique=Technique.ECONOMY if economy else Technique.HIGH_QUALITY,
                rule=rule,
            )
            told = {"id": made.id, "name": made.name}
    except ValueError as error:
        raise Failed(str(error)) from error
    finally:
        hub.close()
    write_object(asked, told)


@dataset.command("ls", examples=("taskhub dataset ls",))
@click.pass_obj
def dataset_ls(asked: Asked) -> None:
    """All datasets."""
    from sqlalchemy import select

    from taskhub.kb.datasets.models import Dataset

    hub, _ = asked.hub()
    with hub.transaction() as session:
        rows = [
            {"id": d.id, "name": d.name, "technique": d.technique.value, "model": d.embedding_model}
            for d in session.scalars(
                select(Dataset).where(Dataset.deleted_at.is_(None)).order_by(Dataset.id)
            )
        ]
    hub.close()
    names = ("id", "name", "technique", "model")
    write_rows(asked, rows, tuple(Column(name) for name in names))


@dataset.command("clean", examples=("taskhub dataset clean handbook --dry-run",))
@click.argument("name")
@click.option("--tenant", default=TENANT, show_default=True)
@bulk
@click.pass_obj
def dataset_clean(
    asked: Asked, name: str, tenant: str, dry_run: bool, yes: bool, reason: str
) -> None:
    """Hide a dataset at once, and have a worker remove its rows, vectors and words."""
    from taskhub.kb.datasets import clean
    from taskhub.kb.ways_in import datasets as ways_in

    hub, _ = asked.hub()
    dataset_id = find_dataset(hub, name, tenant)
    with hub.transaction() as session:
        rows: dict[str, Any] = dict(clean.count(session, dataset_id))
    if not dry_run:
        confirm(f"delete dataset {name!r} with {rows}?", yes=yes)
        with noted(hub, "dataset clean", {"name": name, "tenant": tenant}, reason):
            rows["job_id"] = ways_in.delete_dataset(hub, dataset_id)
        say("the dataset is hidden; a worker of the queue cleaning removes its rows")
    hub.close()
    write_object(asked, rows, key="job_id" if not dry_run else next(iter(rows)))


@document.command("add", examples=("taskhub document add docs/ --dataset handbook",))
@click.argument("paths", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option("--dataset", "dataset_name", required=True)
@click.option("--tenant", default=TENANT, show_default=True)
@click.pass_context
def add(ctx: click.Context, paths: tuple[Path, ...], dataset_name: str, tenant: str) -> None:
    """Store files and folders and have them indexed; exit code 7 if some could not be taken."""
    from taskhub.kb.ways_in import documents as ways_in

    asked: Asked = ctx.obj
    hub, _ = asked.hub()
    dataset_id = find_dataset(hub, dataset_name, tenant)
    rows: list[dict[str, Any]] = []
    for path in paths:
        with progress(asked) as tell:
            for added in ways_in.add_folder(hub, dataset_id, path):
                state = "error" if added.error else "waiting"
                rows.append(
                    {
                        "id": added.document_id,
                        "name": str(added.path),
                        "state": state,
                        "error": added.error,
                        "batch": added.batch_id,
                    }
                )
                tell(len(rows), None, f"stored, last {visible(str(added.path))}")
        if rows and rows[-1]["batch"] is not None:
            say(f"batch {rows[-1]['batch']}; see `taskhub document batch {rows[-1]['batch']}`")
    hub.close()
    write_rows(asked, rows, _DOCUMENTS)
    if any(row["error"] for row in rows):
        ctx.exit(PARTLY)


@document.command("ls", examples=("taskhub document ls --dataset handbook",))
@click.option("--dataset", "dataset_name", required=True)
@click.option("--tenant", default=TENANT, show_default=True)
@click.option("--limit", type=click.IntRange(1, 100_000), default=1000, show_default=True)
@click.pass_obj
def document_ls(asked: Asked, dataset_name: str, tenant: str, limit: int) -> None:
    """A dataset's documents and where each stands."""
    from taskhub.kb.documents.state import statuses

    hub, _ = asked.hub()
    dataset_id = find_dataset(hub, dataset_name, tenant)
    with hub.transaction() as session:
        rows = statuses(session, dataset_id, limit=limit)
    hub.close()
    columns = (
        Column("document_id", "id", right=True),
        Column("name"),
        Column("shown", "state", wide=True),
    )
    write_rows(asked, rows, columns, key="document_id")


@document.command("show", examples=("taskhub document show 7",))
@click.argument("document_id", type=int)
@click.pass_obj
def document_show(asked: Asked, document_id: int) -> None:
    """Where one document stands, and why."""
    from taskhub.kb.documents.failures import UnknownDocument
    from taskhub.kb.documents.state import status

    hub, _ = asked.hub()
    try:
        with hub.transaction() as session:
            found = status(session, document_id)
    except UnknownDocument as error:
        raise Failed(str(error)) from error
    finally:
        hub.close()
    write_object(asked, found, key="document_id")


@document.command("batch", examples=("taskhub document batch 3",))
@click.argument("batch_id", type=int)
@click.pass_obj
def document_batch(asked: Asked, batch_id: int) -> None:
    """How many documents of one `document add` are done, failed, and still to do."""
    from taskhub.kb.documents.batches import UnknownBatch, batch_status

    hub, _ = asked.hub()
    try:
        with hub.transaction() as session:
            found = batch_status(session, batch_id)
    except UnknownBatch as error:
        raise Failed(str(error)) from error
    finally:
        hub.close()
    write_object(asked, found, key="batch_id")


@document.command(
    "index",
    examples=(
        "taskhub document index --dataset handbook --dry-run",
        "taskhub document index --dataset handbook",
        "taskhub document index --dataset handbook --force --yes",
    ),
)
@click.option("--dataset", "dataset_name", required=True)
@click.option("--tenant", default=TENANT, show_default=True)
@click.option("--force", is_flag=True, help="Also what has not changed.")
@bulk
@click.pass_obj
def document_index(
    asked: Asked, /, dataset_name: str, tenant: str, force: bool, **sure: Any
) -> None:
    """Index a dataset's documents again, those alone whose file, sizes or model have changed."""
    from taskhub.kb.ways_in import documents as ways_in

    hub, _ = asked.hub()
    try:
        dataset_id = find_dataset(hub, dataset_name, tenant)
        if sure["dry_run"]:
            again = ways_in.index_dataset_again(hub, dataset_id, force=force, dry_run=True)
            write_object(asked, {**dataclasses.asdict(again), "dry_run": True}, key="deferred")
            return
        if force:
            confirm(
                f"cut all of {dataset_name!r} anew? Until then it is not found", yes=sure["yes"]
            )
        told = {"dataset": dataset_name, "force": force}
        with noted(hub, "document index", told, sure["reason"]) as entry, progress(asked) as tell:
            again = ways_in.index_dataset_again(
                hub, dataset_id, force=force, progress=lambda n, of: tell(n, of, "documents")
            )
            entry.changed = again.deferred
    finally:
        hub.close()
    write_object(asked, again, key="deferred")


document.add_command(search)
document.add_command(describe)
