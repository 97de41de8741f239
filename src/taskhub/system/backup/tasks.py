"""The backups that are made by themselves, and the proof that they can be restored."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from taskhub.queue import Backoff, Context, Fail
from taskhub.system.backup import dump, verify
from taskhub.system.backup.contents import Told
from taskhub.system.blueprint import system


@system.task(name="db_backup", queue="system", lock="backup", retry=Backoff(max_attempts=3))
def db_backup(ctx: Context) -> dict[str, Any]:
    """Write a backup into `backup_directory` and delete all but the newest `backup_keep`."""
    folder = _folder(ctx)
    settings = ctx.hub.settings
    target = folder / dump.name_for(datetime.now(UTC))
    made = dump.backup(ctx.hub.url, settings, target, _teller(ctx))
    deleted = dump.keep_newest(folder, settings.backup_keep)
    return {"file": str(target), "rows": made.rows, "deleted": len(deleted)}


@system.task(name="backup_check", queue="system", lock="backup")
def backup_check(ctx: Context) -> dict[str, Any]:
    """Restore the newest backup into a scratch database and compare it; fails if it is not whole."""
    folder = _folder(ctx)
    newest = max(folder.glob(f"taskhub-*{dump.SUFFIX}"), default=None)
    if newest is None:
        raise Fail(f"there is no backup in {folder}; run `taskhub db backup --to {folder}`")
    found = verify.verify(ctx.hub.url, newest, _teller(ctx))
    if found.differences:
        raise Fail(f"{newest} is not what it should be: {'; '.join(found.differences[:5])}")
    return {"file": str(newest), "tables": found.tables, "rows": found.rows}


def _folder(ctx: Context) -> Path:
    folder = ctx.hub.settings.backup_directory
    if folder is None:
        raise Fail("no folder for backups is named; set TASKHUB_BACKUP_DIRECTORY")
    if not folder.is_dir():
        raise Fail(f"{folder} is not a folder; make it, writable for the worker")
    return folder


def _teller(ctx: Context) -> Told:
    return lambda what, done, of: ctx.progress(done, of, what)
