"""`taskhub clean`: what is no longer wanted, counted or removed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from taskhub.cli.audit import bulk, noted
from taskhub.cli.options import Asked, Verbs, confirm, say
from taskhub.cli.output import write_object

if TYPE_CHECKING:
    from taskhub.queue import Hub, Task

DAYS = click.IntRange(1, 36_500)


@click.group(
    "clean",
    cls=Verbs,
    examples=("taskhub clean orphans --dry-run", "taskhub clean cache --days 30"),
)
def clean() -> None:
    """Remove what is no longer wanted, in the background; by itself it happens every night."""


def _days(given: int | None, setting: int, name: str) -> int:
    days = given or setting
    if days <= 0:
        raise click.UsageError(f"give --days, or set {name}: it is 0, which keeps everything")
    return days


def _told(
    asked: Asked, hub: Hub, found: dict[str, int], question: str, sure: dict[str, Any],
    task: Task[..., Any], *arguments: Any,
) -> None:  # fmt: skip
    """Print what would go, or have it removed and print the job."""
    rows: dict[str, Any] = {name: number for name, number in found.items() if number}
    if not sure["dry_run"] and rows:
        confirm(f"{question}: {rows}?", yes=sure["yes"])
        verb = click.get_current_context().info_name
        with noted(hub, f"clean {verb}", {"rows": rows}, sure["reason"]):
            job_id = task.options(autocommit=True).defer(*arguments).id
        rows["job_id"] = job_id
        say("a worker of the queue cleaning does it")
    elif not rows:
        say("nothing to clean")
    write_object(asked, rows, key="job_id" if "job_id" in rows else next(iter(rows), "id"))


@clean.command("unused", examples=("taskhub clean unused --days 90 --dry-run",))
@click.option("--days", type=DAYS, help="Without a document or a search. [default: the setting]")
@bulk
@click.pass_obj
def clean_unused(asked: Asked, /, days: int | None, **sure: Any) -> None:
    """Disable the documents of datasets that nobody uses; nothing is deleted."""
    from taskhub.kb.cleaning import unused
    from taskhub.kb.tasks.cleaning import clean_unused_datasets

    hub, _ = asked.hub()
    days = _days(days, hub.settings.unused_dataset_days, "unused_dataset_days")
    with hub.transaction() as session:
        found = unused.count(session, days)
    _told(asked, hub, found, "disable", sure, clean_unused_datasets, days)


@clean.command("cache", examples=("taskhub clean cache --days 30",))
@click.option("--days", type=DAYS, help="Made longer ago than this. [default: the setting]")
@bulk
@click.pass_obj
def clean_cache(asked: Asked, /, days: int | None, **sure: Any) -> None:
    """Remove old embeddings from the cache; no segment loses its vector."""
    from taskhub.kb.tasks.cleaning import clean_embedding_cache
    from taskhub.kb.vectors import cache

    hub, _ = asked.hub()
    days = _days(days, hub.settings.embedding_cache_days, "embedding_cache_days")
    with hub.transaction() as session:
        found = {"embeddings": cache.count_old(session, days)}
    _told(asked, hub, found, "remove", sure, clean_embedding_cache, days)


@clean.command("messages", examples=("taskhub clean messages --days 365 --dry-run",))
@click.option("--days", type=DAYS, help="Older than this. [default: the setting]")
@bulk
@click.pass_obj
def clean_messages(asked: Asked, /, days: int | None, **sure: Any) -> None:
    """Remove old messages and hits of annotations, and finished imports past import_days."""
    from taskhub.kb.cleaning import batches, history
    from taskhub.kb.tasks import cleaning as tasks

    hub, _ = asked.hub()
    days = _days(days, hub.settings.message_days, "message_days")
    with hub.transaction() as session:
        kinds = history.older(history.cutoff(session, days))
        if import_days := hub.settings.import_days:
            kinds += history.finished_imports(history.cutoff(session, import_days))
        found = batches.count(session, kinds)
    _told(asked, hub, found, "remove", sure, tasks.clean_messages, days)


@clean.command("orphans", examples=("taskhub clean orphans --dry-run",))
@bulk
@click.pass_obj
def clean_orphans(asked: Asked, /, **sure: Any) -> None:
    """Remove rows without their owner, and what was deleted but is still there."""
    from taskhub.kb.cleaning.orphans import orphans
    from taskhub.kb.tasks import cleaning as tasks

    hub, _ = asked.hub()
    with hub.transaction() as session:
        found = orphans(session)
    _told(asked, hub, found, "remove", sure, tasks.clean_orphans)
