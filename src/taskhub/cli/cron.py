"""`taskhub cron`: the schedules of periodic tasks."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click

from taskhub.cli.audit import noted, with_reason
from taskhub.cli.options import Asked, Verbs, confirm, say
from taskhub.cli.output import Column, ago, write_object, write_rows


def _at(moment: datetime | None) -> str:
    return moment.isoformat(sep=" ", timespec="seconds") if moment is not None else ""


SCHEDULES = (
    Column("name"),
    Column("expression"),
    Column("tz"),
    Column("catch_up", "catch up"),
    Column("state"),
    Column("next_tick", "next", _at),
    Column("last_tick", "last", ago),
    Column("last_job_id", "last job", right=True),
    Column("pause_reason", "why paused", lambda text: text or "", wide=True),
)
TICKS = (Column("name"), Column("tick", show=_at))


@click.group(
    "cron",
    cls=Verbs,
    examples=("taskhub cron ls", "taskhub cron pause nightly --reason 'full disk'"),
)
def cron() -> None:
    """Periodic tasks: how their schedules stand, pause, resume, run now, remove."""


@cron.command("ls", examples=("taskhub cron ls", "taskhub cron ls -o json"))
@click.pass_obj
def ls(asked: Asked) -> None:
    """Every schedule with its next tick, its last one, and who is paused."""
    hub, _ = asked.hub(tasks=False)
    write_rows(asked, hub.crons.states(), SCHEDULES, key="name")
    hub.close()


@cron.command("next", examples=("taskhub cron next", "taskhub cron next nightly -n 10"))
@click.argument("names", nargs=-1)
@click.option("--count", "-n", type=click.IntRange(1, 1000), default=5, show_default=True)
@click.pass_obj
def next_(asked: Asked, names: tuple[str, ...], count: int) -> None:
    """The next ticks, in time's order, on the clock of each schedule's zone; without jitter."""
    hub, _ = asked.hub(tasks=False)
    states = hub.crons.states(*names)
    hub.close()
    for state in states:
        if state.state in ("paused", "stopped"):
            say(f"{state.name} is {state.state}: its ticks get no jobs")
    ticks = [(tick, state.name) for state in states for tick in state.next_ticks(count)]
    rows = [{"name": name, "tick": tick} for tick, name in sorted(ticks)]
    write_rows(asked, rows, TICKS, key="tick")


@cron.command("run", examples=("taskhub cron run nightly",))
@click.argument("name")
@with_reason
@click.pass_obj
def run(asked: Asked, name: str, reason: str) -> None:
    """Defer a job of it now, paused or not; its ticks stay as they are."""
    hub, _ = asked.hub()
    with noted(hub, "cron run", {"name": name}, reason) as entry:
        job = hub.crons.run(name)
        entry.changed = 1
    hub.close()
    write_object(asked, {"id": job.id, "task": job.task_name})


@cron.command("pause", examples=("taskhub cron pause nightly --reason 'the disk is full'",))
@click.argument("name")
@click.option("--reason", help="Shown by `taskhub cron ls`.")
@click.pass_obj
def pause(asked: Asked, name: str, reason: str | None) -> None:
    """Give its ticks no jobs until it is resumed; they are not caught up."""
    hub, _ = asked.hub(tasks=False)
    with noted(hub, "cron pause", {"name": name}, reason):
        state = hub.crons.pause(name, reason=reason)
    _write(asked, state)
    hub.close()


@cron.command("resume", examples=("taskhub cron resume nightly",))
@click.argument("name")
@with_reason
@click.pass_obj
def resume(asked: Asked, name: str, reason: str) -> None:
    """Go on with its next tick."""
    hub, _ = asked.hub(tasks=False)
    with noted(hub, "cron resume", {"name": name}, reason):
        state = hub.crons.resume(name)
    _write(asked, state)
    hub.close()


@cron.command("rm", examples=("taskhub cron rm nightly --dry-run", "taskhub cron rm nightly --yes"))
@click.argument("name")
@click.option("--dry-run", is_flag=True, help="Say whether it could go.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_reason
@click.pass_obj
def rm(asked: Asked, name: str, dry_run: bool, yes: bool, reason: str) -> None:
    """Forget a schedule that no live worker declares; exit code 9 if one does. Its jobs stay."""
    hub, _ = asked.hub(tasks=False)
    hub.crons.remove(name, dry_run=True)
    if not dry_run:
        confirm(f"forget schedule {name}, its last tick and its pause?", yes=yes)
        with noted(hub, "cron rm", {"name": name}, reason):
            hub.crons.remove(name)
    hub.close()
    write_object(asked, {"name": name, "outcome": "would go" if dry_run else "removed"}, key="name")


def _write(asked: Asked, state: Any) -> None:
    write_object(
        asked,
        {
            "name": state.name,
            "state": state.state,
            "next_tick": state.next_tick,
            "pause_reason": state.pause_reason,
        },
        key="name",
    )
