"""`taskhub secrets`: the keys under which secret arguments are stored."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from taskhub.cli.audit import noted, with_reason
from taskhub.cli.errors import PARTLY
from taskhub.cli.options import Asked, Verbs, say
from taskhub.cli.output import Column, write_object, write_rows

COLUMNS = (
    Column("key"),
    Column("state"),
    Column("waiting", right=True),
    Column("running", right=True),
    Column("others", right=True),
)


@click.group(
    "secrets",
    cls=Verbs,
    examples=("taskhub secrets new-key", "taskhub secrets status", "taskhub secrets rotate"),
)
def secrets() -> None:
    """Keys of secret arguments: make one, see which are needed, encrypt jobs anew."""


@secrets.command("new-key", examples=("taskhub secrets new-key", "taskhub secrets new-key 2026b"))
@click.argument("key_id", metavar="[ID]", required=False)
@click.pass_obj
def new_key(asked: Asked, key_id: str | None) -> None:
    """Print a fresh key as TASKHUB_SECRET_KEYS takes it; the id is today's date by default.

    It is stored nowhere: whoever loses it loses the secrets under it.
    """
    from taskhub.queue import keys

    key_id = key_id or datetime.now(UTC).strftime("%Y-%m-%d")
    text = keys.new_key(key_id)
    write_object(asked, {"id": key_id, "key": text}, table=text)


@secrets.command("status", examples=("taskhub secrets status", "taskhub secrets status -o json"))
@click.pass_obj
def status(asked: Asked) -> None:
    """How many jobs hold secrets under which key; one with none, and not the first, can be retired."""
    from taskhub.queue import rotation

    hub, _ = asked.hub(tasks=False)
    found = rotation.key_use(hub)
    hub.close()
    write_rows(asked, found, COLUMNS, key="key")


@secrets.command("rotate", examples=("taskhub secrets rotate --dry-run", "taskhub secrets rotate"))
@click.option("--dry-run", is_flag=True, help="Count only.")
@with_reason
@click.pass_context
def rotate(ctx: click.Context, dry_run: bool, reason: str) -> None:
    """Encrypt the secrets of jobs that do not run under the first key; exit code 7 if some are left.

    Jobs that run keep theirs: run it again, until `taskhub secrets status` shows none.
    """
    from taskhub.queue import rotation

    asked: Asked = ctx.obj
    hub, _ = asked.hub(tasks=False)
    jobs = met = 0
    if not dry_run:
        with noted(hub, "secrets rotate", {}, reason) as entry:
            for batch in rotation.rotate(hub):
                jobs += batch.jobs
                met += batch.jobs + len(batch.left)
                say(f"{jobs} jobs encrypted anew")
                if batch.left:
                    say(f"left as they are: jobs {', '.join(map(str, batch.left))}")
            entry.matched, entry.changed = met, jobs
    left = sum(
        use.waiting + use.running + use.others
        for use in rotation.key_use(hub)
        if use.state != "first"
    )
    hub.close()
    write_object(asked, {"rotated": jobs, "left": left}, key="rotated")
    if left and not dry_run:
        ctx.exit(PARTLY)
