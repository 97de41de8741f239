"""`taskhub document search`: ask the knowledge base."""

from __future__ import annotations

import json
from typing import Any

import click

from taskhub.cli.errors import Failed
from taskhub.cli.options import Asked, verb
from taskhub.cli.output import Column, write_rows
from taskhub.queue import Hub

_MODES = ("vector", "text", "hybrid")


class Pair(click.ParamType[tuple[str, Any]]):
    """KEY=VALUE, whose value is JSON where it reads as such, and else a string."""

    name = "key=value"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, Any]:
        """The key and the value; a fault is told where it is."""
        key, equals, told = str(value).partition("=")
        if not key or not equals:
            self.fail(f"must look like KEY=VALUE, got {value!r}", param, ctx)
        try:
            return key, json.loads(told)
        except ValueError:
            return key, told


@verb(
    "search",
    examples=(
        "taskhub document search 'parental leave' --dataset handbook",
        "taskhub document search '年休假' --dataset handbook --dataset manual --mode text --limit 10",
        "taskhub document search 'fire' --dataset manual --meta year=2025 --meta team=care -o json",
    ),
)
@click.argument("question")
@click.option(
    "--dataset", "names", multiple=True, required=True, help="Where to look; may be repeated."
)
@click.option("--tenant", default="default", show_default=True, help="Whose datasets they are.")
@click.option(
    "--document", "document_ids", type=int, multiple=True, help="Only in these documents, by id."
)
@click.option(
    "--meta", "pairs", type=Pair(), multiple=True, help="Only in documents with this metadata."
)
@click.option("--mode", type=click.Choice(_MODES), default="hybrid", show_default=True)
@click.option("--limit", type=click.IntRange(1, 100), default=5, show_default=True)
@click.option("--offset", type=click.IntRange(0, 900), default=0, help="Hits to leave out.")
def search(
    asked: Asked,
    question: str,
    names: tuple[str, ...],
    tenant: str,
    document_ids: tuple[int, ...],
    pairs: tuple[tuple[str, Any], ...],
    **given: Any,
) -> None:
    """The passages that answer a question best."""
    from taskhub.kb.search import SearchTimeout
    from taskhub.kb.search import search as find

    hub, _ = asked.hub()
    ids = _dataset_ids(hub, names, tenant)
    try:
        with hub.transaction() as session:
            hits = find(
                session,
                question,
                ids,
                document_ids=document_ids or None,
                metadata=dict(pairs),
                timeout_seconds=hub.settings.search_timeout_seconds,
                settings=hub.settings,
                **given,
            )
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    except SearchTimeout as error:
        raise Failed(f"{error} (search_timeout_seconds)") from error
    columns = (
        Column("score", right=True, show=lambda score: f"{score:.2f}"),
        Column("document_name", "document"),
        Column("text", "passage", lambda text: " ".join(text.split())[:300], wide=True),
    )
    write_rows(asked, hits, columns, key="segment_id")


def _dataset_ids(hub: Hub, names: tuple[str, ...], tenant: str) -> list[int]:
    from sqlalchemy import select

    from taskhub.kb.datasets.models import Dataset
    from taskhub.kb.models import Tenant

    known = (
        select(Dataset.name, Dataset.id)
        .join(Tenant, Tenant.id == Dataset.tenant_id)
        .where(Tenant.name == tenant, Dataset.name.in_(names), Dataset.deleted_at.is_(None))
    )
    with hub.transaction() as session:
        found = {row.name: row.id for row in session.execute(known)}
    for name in names:
        if name not in found:
            raise Failed(
                f"dataset {name!r} of tenant {tenant!r} does not exist; see `taskhub dataset ls`"
            )
    return list(found.values())
