"""The verbs that act on workers: drain and rescue."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import click

from taskhub.cli.audit import noted, with_reason
from taskhub.cli.errors import PARTLY
from taskhub.cli.look import read_since
from taskhub.cli.options import Asked, confirm, say, verb
from taskhub.cli.output import Column, write_rows
from taskhub.queue import Hub, insight, worker_actions
from taskhub.queue.states import WorkerState
from taskhub.queue.why.words import counted

LOOK_SECONDS = 0.5
WORKERS = (
    Column("id", right=True),
    Column("name"),
    Column("host"),
    Column("pid", right=True),
    Column("running", right=True),
    Column("outcome"),
)
RESCUED = (
    Column("job_id", right=True),
    Column("task"),
    Column("queue"),
    Column("worker_id", "worker", right=True),
    Column("lost", right=True),
    Column("outcome"),
)


@verb(
    "drain",
    examples=(
        "taskhub drain 4 5 --wait",
        "taskhub drain --all --dry-run",
        "taskhub drain --all --yes",
        "taskhub drain 4 --stay --wait --timeout 10m",
    ),
)
@click.argument("worker_ids", metavar="[WORKER_ID]...", type=click.IntRange(min=1), nargs=-1)
@click.option("--all", "all_", is_flag=True, help="Every worker that lives now.")
@click.option("--stay", is_flag=True, help="Stay, idle, until stopped, in place of ending.")
@click.option("--wait", is_flag=True, help="Wait until none of them has a job left.")
@click.option("--timeout", callback=read_since, help="Wait no longer than 30s, 10m, 2h.")
@click.option("--dry-run", is_flag=True, help="Show which workers would be asked.")
@click.option("--yes", is_flag=True, help="Do not ask, for --all.")
@with_reason
@click.pass_context
def drain(
    ctx: click.Context,
    asked: Asked,
    worker_ids: tuple[int, ...],
    all_: bool,
    stay: bool,
    wait: bool,
    timeout: Any,
    dry_run: bool,
    yes: bool,
    reason: str,
) -> None:
    """Have workers take no more jobs and end when theirs are done; exit code 7 if some did not.

    A worker hears it with its next heartbeat, within a quarter of its lease. There is no deadline: its
    jobs run to their end. It ends with exit code 0, and whoever supervises it may start it again: that
    is a restart without a cut job. With --stay it lives on and takes nothing, so nothing starts it again:
    stop it then, where the machine is to be emptied.
    """
    if bool(worker_ids) == all_:
        raise click.UsageError("give WORKER_IDs or --all")
    if timeout is not None and not isinstance(timeout, timedelta):
        raise click.BadParameter("timeout must be like 30s, 10m, 2h")
    hub, _ = asked.hub(tasks=False)
    found = _meant(hub, worker_ids, all_=all_)
    if dry_run:
        hub.close()
        write_rows(asked, [{**_about(w), "outcome": _would(w)} for w in found], WORKERS)
        return
    if all_ and found:
        confirm(f"drain all {len(found)} live workers?", yes=yes)
    asked_ids = _drain(hub, [worker.id for worker in found], stay, reason)
    if wait:
        found = _wait(hub, asked_ids, timeout) + [w for w in found if w.id not in asked_ids]
    hub.close()
    rows = [{**_about(w), "outcome": _outcome(w, asked_ids, wait=wait)} for w in found]
    write_rows(asked, rows, WORKERS)
    if any(row["outcome"] not in ("asked", "ended", "drained") for row in rows):
        ctx.exit(PARTLY)


def _meant(hub: Hub, worker_ids: Sequence[int], *, all_: bool) -> list[WorkerState]:
    if not all_:
        return worker_actions.named(hub, worker_ids)
    return [worker for worker in insight.workers(hub) if worker.state in worker_actions.ALIVE]


def _drain(hub: Hub, worker_ids: list[int], stay: bool, reason: str) -> list[int]:
    with noted(hub, "drain", {"workers": worker_ids, "stay": stay}, reason) as entry:
        asked_ids = worker_actions.drain(hub, worker_ids, stay=stay)
        entry.matched, entry.changed = len(worker_ids), len(asked_ids)
    return asked_ids


def _about(worker: WorkerState) -> dict[str, Any]:
    return {name: getattr(worker, name) for name in ("id", "name", "host", "pid", "running")}


def _would(worker: WorkerState) -> str:
    if worker.state not in worker_actions.ALIVE:
        return "would not be asked: it is gone"
    if worker.name is None:
        return "would not be asked: a plain procrastinate worker"
    return "would be asked"


def _outcome(worker: WorkerState, asked_ids: Sequence[int], *, wait: bool) -> str:
    if worker.id not in asked_ids:
        is_plain = worker.state in worker_actions.ALIVE
        return "not asked: a plain procrastinate worker" if is_plain else "not asked: it is gone"
    if not wait:
        return "asked"
    if worker.state in ("drained", "lost"):
        return worker.state
    if worker.stopped_at is None:
        return "still drains"
    return "lost" if worker.state.startswith("lost") else "ended"


def _wait(hub: Hub, worker_ids: Sequence[int], timeout: timedelta | None) -> list[WorkerState]:
    """The workers as they stand when none of them has more to do, or the time is up."""
    deadline = time.monotonic() + timeout.total_seconds() if timeout is not None else None
    told = -1
    while True:
        workers = worker_actions.named(hub, worker_ids)
        busy = [worker for worker in workers if worker.state in ("live", "draining")]
        if not busy or (deadline is not None and time.monotonic() >= deadline):
            return workers
        running = sum(worker.running for worker in busy)
        if running != told:
            say(f"  {counted(running, 'job')} left in {counted(len(busy), 'worker')}")
            told = running
        time.sleep(LOOK_SECONDS)


@verb(
    "rescue",
    examples=("taskhub rescue --dry-run", "taskhub rescue --yes", "taskhub rescue 4 --force --yes"),
)
@click.argument("worker_ids", metavar="[WORKER_ID]...", type=click.IntRange(min=1), nargs=-1)
@click.option("--force", is_flag=True, help="Also of a named worker whose heartbeat is fresh.")
@click.option("--dry-run", is_flag=True, help="Show which jobs would come back.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_reason
def rescue(
    asked: Asked, worker_ids: tuple[int, ...], force: bool, dry_run: bool, yes: bool, reason: str
) -> None:
    """Give back the jobs of dead workers now, those of all or of some; no worker need live for it.

    Dead is who has not renewed its lease in time; live workers find that out by themselves, this only
    does not wait for them. A worker whose heartbeat is fresh is refused unless --force: if it lives all
    the same, it loses its lease and what it still does may happen twice; the fence keeps it from
    committing through the hub, not from sending a mail.
    """
    if force and not worker_ids:
        raise click.UsageError("--force needs the WORKER_IDs that are known to be dead")
    hub, _ = asked.hub(tasks=False)
    ids = list(worker_ids) or None
    rescued = worker_actions.rescue(hub, ids, force=force, dry_run=True)
    if not rescued:
        say(
            "no job is held by a dead worker; right after a start of the server none is taken for dead"
        )
    elif not dry_run:
        confirm(f"give back {len(rescued)} jobs?", yes=yes)
    if not dry_run:
        matched = len(rescued)
        with noted(hub, "rescue", {"workers": ids, "force": force}, reason) as entry:
            rescued = worker_actions.rescue(hub, ids, force=force)
            entry.matched, entry.changed = matched, len(rescued)
    hub.close()
    write_rows(asked, rescued, RESCUED, key="job_id")
