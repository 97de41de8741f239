"""`taskhub app`: what answers people."""

from __future__ import annotations

from typing import Any

import click

from taskhub.cli.audit import bulk, noted
from taskhub.cli.errors import Failed
from taskhub.cli.options import Asked, Verbs, confirm, say
from taskhub.cli.output import Column, write_object, write_rows
from taskhub.queue import Hub

TENANT = "default"


@click.group("app", cls=Verbs, examples=("taskhub app create helpdesk", "taskhub app ls"))
def app() -> None:
    """Apps, which answer by datasets and annotations."""


def app_id_of(hub: Hub, name: str, tenant: str) -> int:
    """The id of the tenant's app.

    Raises:
        Failed: there is none.
    """
    from taskhub.accounts.tenants import ensure
    from taskhub.kb.apps import create as apps

    with hub.transaction() as session:
        found = apps.find(session, ensure(session, tenant).id, name)
        if found is None:
            raise Failed(f"app {name!r} does not exist; run `taskhub app create {name}`")
        return found.id


@app.command("create", examples=("taskhub app create helpdesk --dataset handbook",))
@click.argument("name")
@click.option("--dataset", "datasets", multiple=True, help="One that it searches; may be repeated.")
@click.option("--tenant", default=TENANT, show_default=True)
@click.pass_obj
def create(asked: Asked, name: str, datasets: tuple[str, ...], tenant: str) -> None:
    """Make an app."""
    from taskhub.accounts.tenants import ensure
    from taskhub.kb.apps import create as apps
    from taskhub.kb.datasets.create import find

    hub, _ = asked.hub()
    try:
        with hub.transaction() as session:
            tenant_id = ensure(session, tenant).id
            made = apps.create(session, tenant_id, name)
            for dataset in datasets:
                if (found := find(session, tenant_id, dataset)) is None:
                    raise Failed(f"dataset {dataset!r} does not exist; see `taskhub dataset ls`")
                apps.join(session, made.id, [found.id])
            told = {"id": made.id, "name": made.name}
    except ValueError as error:
        raise Failed(str(error)) from error
    write_object(asked, told)


@app.command("ls", examples=("taskhub app ls",))
@click.pass_obj
def ls(asked: Asked) -> None:
    """All apps, with how they answer by annotations."""
    from sqlalchemy import func, select

    from taskhub.kb.annotations.models import Annotation, AnnotationSetting
    from taskhub.kb.apps.models import App

    annotations = (
        select(func.count()).where(Annotation.app_id == App.id).correlate(App).scalar_subquery()
    )
    query = (
        select(App.id, App.name, annotations.label("annotations"),
               AnnotationSetting.enabled, AnnotationSetting.score_threshold,
               AnnotationSetting.embedding_model)
        .outerjoin(AnnotationSetting, AnnotationSetting.app_id == App.id)
        .where(App.deleted_at.is_(None))
        .order_by(App.id)
    )  # fmt: skip
    hub, _ = asked.hub()
    with hub.transaction() as session:
        rows = [
            {
                "id": row.id,
                "name": row.name,
                "annotations": row.annotations,
                "reply": bool(row.enabled),
                "threshold": row.score_threshold if row.enabled else None,
                "model": row.embedding_model if row.enabled else None,
            }
            for row in session.execute(query)
        ]
    names = ("id", "name", "annotations", "reply", "threshold", "model")
    write_rows(asked, rows, tuple(Column(name) for name in names))


@app.command("rm", examples=("taskhub app rm helpdesk --dry-run",))
@click.argument("name")
@click.option("--tenant", default=TENANT, show_default=True)
@bulk
@click.pass_obj
def rm(asked: Asked, name: str, tenant: str, dry_run: bool, yes: bool, reason: str) -> None:
    """Let an app answer nothing at once, and have a worker remove all that belongs to it."""
    from taskhub.kb.cleaning import batches, kinds
    from taskhub.kb.ways_in.apps import delete_app

    hub, _ = asked.hub()
    app_id = app_id_of(hub, name, tenant)
    with hub.transaction() as session:
        found = batches.count(session, kinds.owned(kinds.table("apps"), [app_id]))
    rows: dict[str, Any] = {kind: number for kind, number in found.items() if number}
    if not dry_run:
        confirm(f"delete app {name!r} with {rows}?", yes=yes)
        with noted(hub, "app rm", {"name": name, "tenant": tenant}, reason):
            rows["job_id"] = delete_app(hub, app_id)
        say("the app answers nothing any more; a worker of the queue cleaning removes its rows")
    write_object(asked, rows, key="apps" if dry_run else "job_id")
