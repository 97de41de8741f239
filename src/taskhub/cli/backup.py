"""`taskhub db backup`, `verify` and `restore`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from taskhub.cli.errors import UNHEALTHY, Failed
from taskhub.cli.options import Asked, can_ask, confirm, say, verb
from taskhub.cli.output import Column, write_object, write_rows
from taskhub.cli.progress import progress

if TYPE_CHECKING:
    from taskhub.queue import Hub
    from taskhub.system.backup.contents import Told, Unfinished
    from taskhub.system.backup.restore import Restored

_UNFINISHED = (
    Column("queue"), Column("task"), Column("status"), Column("jobs", right=True), Column("oldest_at"),
)  # fmt: skip


@verb(
    "backup",
    examples=(
        "taskhub db backup",
        "taskhub db backup before-upgrade.taskhub",
        "taskhub db backup --to /var/backups --keep 7",
    ),
)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), required=False)
@click.option("--to", "folder", type=click.Path(path_type=Path, file_okay=False, exists=True),
              help="A folder; the file is named after the time.")  # fmt: skip
@click.option("--keep", type=click.IntRange(min=1), help="Delete older backups in that folder.")
def backup(asked: Asked, file: Path | None, folder: Path | None, keep: int | None) -> None:
    """Write the hub's schemas to a file, as of one moment, while everything goes on."""
    from taskhub.system.backup import dump

    if file is not None and (folder or keep):
        raise click.UsageError("give a FILE, or --to with --keep, not both")
    if keep and folder is None:
        raise click.UsageError(
            "--keep needs --to: only in a folder of its own are older ones deleted"
        )
    hub, _ = asked.hub(tasks=False)
    target = file or (folder or Path()) / dump.name_for(datetime.now(UTC))
    if target.exists():
        raise Failed(f"{target} exists; choose another name, or delete it first")
    with _failures(), _telling(asked) as told_far:
        made = dump.backup(hub.url, hub.settings, target, told_far)
    deleted = dump.keep_newest(folder, keep) if folder and keep else []
    told = {
        "file": str(target), "bytes": made.dump_bytes, "tables": len(made.tables), "rows": made.rows,
        "unfinished_jobs": sum(one.jobs for one in made.unfinished), "deleted": len(deleted),
    }  # fmt: skip
    write_object(asked, told, key="file")
    say(f"prove it with `taskhub db verify {target}`")


@verb("verify", examples=("taskhub db verify taskhub-20261124T151000Z.taskhub",))
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.pass_context
def verify(ctx: click.Context, asked: Asked, file: Path) -> None:
    """Restore a backup into a scratch database, compare every table, drop it; exit code 8 if they differ.

    The scratch database is made on the server of the hub: the role needs CREATEDB.
    """
    from taskhub.system.backup import verify as verifying

    hub, _ = asked.hub(tasks=False)
    with _failures(), _telling(asked) as told:
        found = verifying.verify(hub.url, file, told)
    write_object(asked, dataclasses.asdict(found), key="tables")
    if found.differences:
        say(f"the backup is not what it should be: {'; '.join(found.differences[:5])}")
        ctx.exit(UNHEALTHY)


@verb(
    "restore",
    examples=(
        "taskhub db restore taskhub-20261124T151000Z.taskhub --dry-run",
        "taskhub db restore taskhub-20261124T151000Z.taskhub --replace",
        "taskhub db restore FILE --yes --run indexing --discard mail --hold '*'",
    ),
)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--replace", is_flag=True, help="Rename a hub that is there; nothing of it is deleted."
)
@click.option("--new-identity", is_flag=True,
              help="For a copy beside the original: the jobs' idempotency keys become others.")  # fmt: skip
@click.option("--skip-ids", type=click.IntRange(min=0), default=1_000_000, show_default=True,
              help="Leave out job ids that may have been given out since the backup.")  # fmt: skip
@click.option(
    "--run", "run", multiple=True, metavar="QUEUE", help="Let this queue run; '*': all others."
)
@click.option("--discard", multiple=True, metavar="QUEUE", help="Cancel what waits in it.")
@click.option("--hold", multiple=True, metavar="QUEUE", help="Leave it paused.")
@click.option(
    "--dry-run", is_flag=True, help="Show what the backup holds and what would run again."
)
@click.option("--yes", is_flag=True, help="Do not ask.")
def restore(
    asked: Asked, file: Path, replace: bool, new_identity: bool, skip_ids: int,
    run: tuple[str, ...], discard: tuple[str, ...], hold: tuple[str, ...], dry_run: bool, yes: bool,
) -> None:  # fmt: skip
    """Bring a backup back, paused, then ask for each queue: run, discard or hold."""
    from taskhub.system.backup import manifest
    from taskhub.system.backup import restore as restoring

    hub, _ = asked.hub(tasks=False)
    with _failures():
        described = manifest.read(file)
        restoring.check(described, hub.settings)
        if dry_run:
            manifest.check(described, file)
            say(f"taken at {described.taken_at}, {described.rows} rows; nothing was changed")
            _list(asked, described.unfinished)
            return
        confirm(
            f"restore {described.rows} rows of {described.taken_at} into {hub.url.database}?",
            yes=yes,
        )
        with _telling(asked) as told:
            done = restoring.restore(
                hub.url, hub.settings, file,
                replace=replace, new_identity=new_identity, skipped_ids=skip_ids, told=told,
            )  # fmt: skip
    _tell(asked, done)
    given = (("run", run), ("discard", discard), ("hold", hold))
    asked_for = {queue: decision for decision, queues in given for queue in queues}
    for queue in done.queues:
        _decide(hub, queue, asked_for, done.reason, may_ask=not yes)


def _tell(asked: Asked, done: Restored) -> None:
    say(f"{done.rows} rows are back as of {done.taken_at}; {len(done.queues)} queues are paused")
    for name in done.aside:
        say(f"what was there is now the schema {name}; drop it when you no longer need it")
    say("jobs that ran after the backup will run again when their queue runs:")
    _list(asked, done.unfinished)


def _decide(hub: Hub, queue: str, asked_for: dict[str, str], reason: str, *, may_ask: bool) -> None:
    from taskhub.system.backup.decide import Decision, decide

    wanted = asked_for.get(queue) or asked_for.get("*")
    if wanted is None and may_ask and can_ask():
        wanted = click.prompt(
            f"queue {queue}",
            type=click.Choice([d.value for d in Decision]),
            default="hold",
            err=True,
        )
    decision = Decision(wanted or "hold")
    cancelled = decide(
        hub, queue, decision, reason=f"discarded: {reason}", told=lambda n: say(f"  {n} cancelled")
    )
    told = {
        Decision.RUN: "runs",
        Decision.DISCARD: f"runs, {cancelled} jobs were cancelled",
        Decision.HOLD: f"is held; let it run with `taskhub resume --queue {queue}`",
    }
    say(f"queue {queue} {told[decision]}")


def _list(asked: Asked, unfinished: tuple[Unfinished, ...]) -> None:
    write_rows(asked, [dataclasses.asdict(one) for one in unfinished], _UNFINISHED, key="queue")


@contextmanager
def _telling(asked: Asked) -> Iterator[Told]:
    """Tells how far it is, of the tables."""
    with progress(asked) as tell:
        yield lambda what, done, of: tell(done, of, f"tables, {what}")


@contextmanager
def _failures() -> Iterator[None]:
    """What a backup refuses is a message without a traceback."""
    from taskhub.system.backup import dump, manifest, tools
    from taskhub.system.backup import restore as restoring

    try:
        yield
    except (
        dump.NothingThere, manifest.BadBackup, tools.NoTools, tools.ToolFailed,
        restoring.NotEmpty, restoring.StillWorking, OSError,
    ) as error:  # fmt: skip
        raise Failed(str(error)) from error
