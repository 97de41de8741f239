"""`taskhub dataset` and `taskhub document`: the knowledge base by hand."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from taskhub.cli.errors import PARTLY, Failed
from taskhub.cli.options import Asked, Verbs, confirm, say
from taskhub.cli.output import Column, visible, write_object, write_rows
from taskhub.cli.texts import preview, rule_of_options, rule_options
from taskhub.queue import Hub

TENANT = "default"
_DOCUMENTS = (Column("id", right=True), Column("name"), Column("state"), Column("error", wide=True))


@click.group(
    "dataset", cls=Verbs, examples=("taskhub dataset create handbook", "taskhub dataset ls")
)
def dataset() -> None:
    """Datasets of the knowledge base."""


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


document.add_command(preview)


def _dataset_id(hub: Hub, name: str, tenant: str) -> int:
    from taskhub.accounts.tenants import ensure
    from taskhub.kb.datasets import create as datasets

    with hub.transaction() as session:
        found = datasets.find(session, ensure(session, tenant).id, name)
        if found is None:
            raise Failed(f"dataset {name!r} does not exist; run `taskhub dataset create {name}`")
        return found.id


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
@click.option("--dry-run", is_flag=True, help="Count what would go.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def dataset_clean(asked: Asked, name: str, tenant: str, dry_run: bool, yes: bool) -> None:
    """Hide a dataset at once, and have a worker remove its rows, vectors and words."""
    from taskhub.kb.datasets import clean
    from taskhub.kb.ways_in import datasets as ways_in

    hub, _ = asked.hub()
    dataset_id = _dataset_id(hub, name, tenant)
    with hub.transaction() as session:
        rows: dict[str, Any] = dict(clean.count(session, dataset_id))
    if not dry_run:
        confirm(f"delete dataset {name!r} with {rows}?", yes=yes)
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
    dataset_id = _dataset_id(hub, dataset_name, tenant)
    rows = []
    for path in paths:
        for added in ways_in.add_folder(hub, dataset_id, path):
            state = "error" if added.error else "waiting"
            rows.append(
                {
                    "id": added.document_id,
                    "name": str(added.path),
                    "state": state,
                    "error": added.error,
                }
            )
            if sys.stderr.isatty() or len(rows) % 20 == 0:
                say(f"  {len(rows)} stored, last {visible(str(added.path))}")
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
    dataset_id = _dataset_id(hub, dataset_name, tenant)
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


@document.command(
    "search", examples=("taskhub document search 'parental leave' --dataset handbook",)
)
@click.argument("question")
@click.option("--dataset", "names", multiple=True, required=True)
@click.option("--tenant", default=TENANT, show_default=True)
@click.option("--limit", type=click.IntRange(1, 100), default=5, show_default=True)
@click.option(
    "--mode", type=click.Choice(("vector", "text", "hybrid")), default="hybrid", show_default=True
)
@click.pass_obj
def search(
    asked: Asked, question: str, names: tuple[str, ...], tenant: str, limit: int, mode: str
) -> None:
    """The passages that answer a question best."""
    from taskhub.kb.vectors.search import search as find

    hub, _ = asked.hub()
    ids = [_dataset_id(hub, name, tenant) for name in names]
    try:
        with hub.transaction() as session:
            hits = find(session, question, ids, limit=limit, mode=mode)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    finally:
        hub.close()
    columns = (
        Column("score", right=True, show=lambda score: f"{score:.2f}"),
        Column("document_name", "document"),
        Column("text", "passage", lambda text: " ".join(text.split())[:300], wide=True),
    )
    write_rows(asked, hits, columns, key="segment_id")
