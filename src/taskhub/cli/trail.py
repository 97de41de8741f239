"""`taskhub audit`: who changed what, and why."""

from __future__ import annotations

import json
from typing import Any

import click

from taskhub.cli.options import Asked, verb
from taskhub.cli.output import Column, ago, write_rows
from taskhub.queue import insight


def _target(target: dict[str, Any]) -> str:
    return json.dumps(target, ensure_ascii=False)


COLUMNS = (
    Column("id", right=True),
    Column("at", show=ago),
    Column("actor"),
    Column("source"),
    Column("action"),
    Column("target", show=_target, wide=True),
    Column("matched", right=True),
    Column("changed", right=True),
    Column("outcome"),
    Column("reason", wide=True),
    Column("error", wide=True),
)


@verb("audit", examples=("taskhub audit", "taskhub audit --actor ann --action retry-failed"))
@click.option("--actor", help="Only what this person asked for.")
@click.option("--action", help="Only this verb, as it is typed: 'cron pause'.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@click.option("--before", "before_id", type=int, help="Only rows with a lower id: the next page.")
def audit(
    asked: Asked, actor: str | None, action: str | None, limit: int, before_id: int | None
) -> None:
    """What people changed by the command line, the dashboard or a program, the newest first."""
    hub, _ = asked.hub(tasks=False)
    rows = insight.audit(hub, limit=limit, before_id=before_id, actor=actor, action=action)
    hub.close()
    write_rows(asked, rows, COLUMNS)
