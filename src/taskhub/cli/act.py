"""The verbs that change jobs: retry, retry-failed, cancel, prune."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import click

from taskhub.cli.audit import by, noted, with_reason
from taskhub.cli.errors import PARTLY
from taskhub.cli.live_names import hint
from taskhub.cli.look import read_filter, read_since
from taskhub.cli.options import Asked, confirm, say, verb
from taskhub.cli.output import Column, visible, write_object, write_rows
from taskhub.cli.progress import progress
from taskhub.queue import actions, retention
from taskhub.queue.actions.frozen import CHUNK
from taskhub.queue.filters import JobFilter
from taskhub.queue.why.words import span


@verb(
    "retry",
    examples=("taskhub retry 42 43", "taskhub ls --status failed -o ids | xargs taskhub retry"),
)
@click.argument("job_ids", type=click.IntRange(min=1), nargs=-1, required=True)
@with_reason
@click.pass_context
def retry(ctx: click.Context, asked: Asked, job_ids: tuple[int, ...], reason: str) -> None:
    """Let jobs that failed, were cancelled or aborted run again; exit code 7 if some could not."""
    hub, _ = asked.hub(tasks=False)
    with noted(hub, "retry", {"ids": job_ids}, reason) as entry:
        done = actions.retry(hub, job_ids)
        entry.matched = len(done)
        entry.changed = sum(one.outcome == "retried" for one in done)
    hub.close()
    write_rows(
        asked, done, (Column("job_id", right=True), Column("was"), Column("outcome")), key="job_id"
    )
    if any(one.outcome != "retried" for one in done):
        ctx.exit(PARTLY)


# What hears how many jobs were changed so far.
Counts = Callable[[int], None]
RATE = re.compile(r"(\d+(?:\.\d+)?)/(s|min|h)")
_SECONDS = {"s": 1, "min": 60, "h": 3600}


def read_rate(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> float | None:
    """50/s, 30/min or 100/h as jobs a second."""
    if value is None:
        return None
    found = RATE.fullmatch(value)
    if found is None or not float(found[1]):
        raise click.BadParameter(f"must be like 50/s, 30/min or 100/h, got {value!r}")
    return float(found[1]) / _SECONDS[found[2]]


@verb(
    "retry-failed",
    examples=(
        "taskhub retry-failed --queue mail --dry-run",
        "taskhub retry-failed --task 'mail_*' --since 2h --error 'timeout' --yes",
        "taskhub retry-failed --fingerprint 8009a36492a1f651 --rate 50/s --yes",
    ),
)
@click.option("--queue", "-q", "queues", multiple=True, help="Only this queue.")
@click.option("--task", "tasks", multiple=True, help="Only this task; globs work.")
@click.option("--since", callback=read_since, help="30m, 2h, 1d or an ISO time.")
@click.option("--error", help="Text or glob in the last error.")
@click.option("--fingerprint", help="Only failures of this kind.")
@click.option("--limit", type=click.IntRange(min=1), help="At most so many.")
@click.option(
    "--rate",
    callback=read_rate,
    metavar="N/s|min|h",
    help="Spread them out: their dates are spaced so, this command does not wait for them.",
)
@click.option("--dry-run", is_flag=True, help="Show what would be retried.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_reason
def retry_failed(
    asked: Asked,
    queues: tuple[str, ...],
    tasks: tuple[str, ...],
    since: Any,
    error: str | None,
    fingerprint: str | None,
    limit: int | None,
    rate: float | None,
    dry_run: bool,
    yes: bool,
    reason: str,
) -> None:
    """Let dead letters run again: jobs that failed for good, frozen at the highest id seen now."""
    hub, _ = asked.hub(tasks=False)
    wanted = JobFilter(
        queues=queues, tasks=tasks, since=since, error=error, fingerprint=fingerprint
    )
    frozen = actions.freeze(hub, wanted, limit=limit)
    say(f"{_number(frozen)} failed jobs match")
    if not frozen.count:
        hint(hub, queues=queues, tasks=tasks)
    for line in frozen.samples:
        why = visible(f"{line.error_class}: {line.error_message}"[:100])
        say(f"  {line.id}  {line.task}  {line.queue}  {why}")
    over = "" if rate is None else f", spread over {span(frozen.count / rate)}"
    retried = 0
    if frozen.count and not dry_run:
        confirm(f"retry {_number(frozen)} jobs{over}?", yes=yes)
        change = partial(actions.retry_frozen, hub, frozen, by=by(reason), jobs_per_second=rate)
        retried = _whole(asked, frozen, lambda tell: change(progress=tell), "wait again")
        say(f"{retried} jobs wait again{over}; watch them with `taskhub ls --status todo`")
    hub.close()
    write_object(
        asked, {"matched": frozen.count, "retried": retried, "dry_run": dry_run}, key="retried"
    )


def _whole(
    asked: Asked,
    frozen: actions.Frozen,
    change: Callable[[Counts], actions.Done],
    what: str,
) -> int:
    """Change all that was frozen, and tell how far it is; of a change that is broken off, too."""
    done = 0

    def count(jobs: int) -> None:
        nonlocal done
        done = jobs
        if frozen.count > CHUNK:
            tell(done, frozen.count, "jobs")

    try:
        with progress(asked) as tell:
            return change(count).changed
    except KeyboardInterrupt:
        # What was on its way when the key was pressed may have got there.
        say(f"at least {done} of {_number(frozen)} jobs {what}; the same command takes the others")
        raise


def _number(frozen: actions.Frozen) -> str:
    return f"more than {frozen.count}" if frozen.is_more else str(frozen.count)


@verb(
    "cancel",
    examples=(
        "taskhub cancel 42 --reason 'sent by hand'",
        "taskhub cancel --filter 'queue:mail args.tenant_id:7' --dry-run",
    ),
)
@click.argument("job_ids", metavar="[JOB_ID]...", type=click.IntRange(min=1), nargs=-1)
@click.option("--filter", "words", help="All that fit it, as `taskhub ls` takes it.")
@click.option("--dry-run", is_flag=True, help="Show what would be cancelled, for --filter.")
@click.option("--yes", is_flag=True, help="Do not ask, for --filter.")
@click.option("--reason", default="", help="Kept in the job's history and the audit.")
@click.pass_context
def cancel(
    ctx: click.Context,
    asked: Asked,
    job_ids: tuple[int, ...],
    words: str | None,
    dry_run: bool,
    yes: bool,
    reason: str,
) -> None:
    """Cancel jobs that wait, and ask running ones to stop; exit code 7 if some had ended."""
    if bool(job_ids) == (words is not None):
        raise click.UsageError("give JOB_IDs or --filter")
    if words is not None:
        _cancel_all(asked, read_filter(words), dry_run, yes, reason)
        return
    hub, _ = asked.hub(tasks=False)
    with noted(hub, "cancel", {"ids": job_ids}, reason) as entry:
        done = actions.cancel(hub, job_ids, reason=reason)
        entry.matched = len(done)
        entry.changed = sum(one.outcome in ("cancelled", "asked to stop") for one in done)
    hub.close()
    write_rows(asked, done, (Column("job_id", right=True), Column("outcome")), key="job_id")
    if any(one.outcome in ("ended already", "unknown") for one in done):
        ctx.exit(PARTLY)


def _cancel_all(asked: Asked, wanted: JobFilter, dry_run: bool, yes: bool, reason: str) -> None:
    hub, _ = asked.hub(tasks=False)
    frozen = actions.freeze(hub, wanted, "cancel")
    say(f"{_number(frozen)} jobs match")
    for line in frozen.samples:
        say(f"  {line.id}  {line.task}  {line.queue}  {line.status}")
    cancelled = 0
    if frozen.count and not dry_run:
        confirm(f"cancel {_number(frozen)} jobs?", yes=yes)
        change = partial(actions.cancel_frozen, hub, frozen, reason=reason, by=by(reason))
        cancelled = _whole(
            asked, frozen, lambda tell: change(progress=tell), "are cancelled or asked to stop"
        )
    hub.close()
    write_object(
        asked,
        {"matched": frozen.count, "cancelled": cancelled, "dry_run": dry_run},
        key="cancelled",
    )


@verb("prune", examples=("taskhub prune --dry-run", "taskhub prune --yes"))
@click.option("--dry-run", is_flag=True, help="Count what would go.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_reason
@click.pass_context
def prune(ctx: click.Context, asked: Asked, dry_run: bool, yes: bool, reason: str) -> None:
    """Delete history and dead letters that are past their days; exit code 7 if a reader is in the way.

    Workers do so once an hour. The days are the settings history_days and dead_letter_days.
    """
    hub, _ = asked.hub(tasks=False)
    done = retention.prune(hub, dry_run=True)
    if not dry_run and done != retention.Pruned():
        say(f"{done.jobs} jobs, {done.partitions} parts of the history are past their days")
        confirm("delete them for good?", yes=yes)
        of = _rows(done)
        with noted(hub, "prune", {}, reason) as entry, progress(asked) as tell:
            done = retention.prune(
                hub,
                progress=lambda far: tell(_rows(far), of, "rows and parts") if of > CHUNK else None,
            )
            entry.changed = done.jobs
    hub.close()
    write_object(asked, {**dataclasses.asdict(done), "dry_run": dry_run}, key="jobs")
    if done.waiting:
        say(f"{done.waiting} parts of the history wait for somebody who reads it; try again later")
        ctx.exit(PARTLY)


def _rows(pruned: retention.Pruned) -> int:
    told = dataclasses.asdict(pruned)
    return sum(number for name, number in told.items() if name not in ("size_bytes", "waiting"))
