"""The verbs that look: status, queues, workers, ls, show."""

from __future__ import annotations

import dataclasses
from typing import Any

import click

from taskhub import migrations
from taskhub.cli.errors import UNHEALTHY
from taskhub.cli.live_names import hint
from taskhub.cli.options import Asked, say, verb
from taskhub.cli.output import (
    Column,
    ago,
    table,
    visible,
    wants_table,
    write_object,
    write_rows,
)
from taskhub.queue import Hub, filter_text, horizon, insight
from taskhub.queue.filters import JobFilter
from taskhub.queue.states import HeldKey, JobDetail, QueueState, TaskCount, WorkerState
from taskhub.queue.why.words import span
from taskhub.settings.masking import masked


def short(error_class: str | None) -> str:
    """The name of an error without that of its module."""
    return (error_class or "").rpartition(".")[2]


def _unless_none(number: int) -> str:
    return str(number) if number else ""


QUEUES = (
    Column("queue"),
    Column("ready", right=True),
    Column("scheduled", right=True),
    Column("running", right=True),
    Column("failed", right=True),
    Column("oldest_ready_seconds", "oldest ready", span, right=True),
    Column("workers", right=True),
)
FAIR_KEYS = (
    Column("fair_key", "fair key"),
    Column("waiting", right=True),
    Column("weight", right=True),
)
WORKERS = (
    Column("id", right=True),
    Column("name"),
    Column("state"),
    Column("host"),
    Column("pid", right=True),
    Column("queues", show=lambda names: ", ".join(names) if names else "all"),
    Column("running", right=True),
    Column("concurrency", "of", right=True),
    Column("overdue", show=_unless_none, right=True, wide=True),
    Column("deserted", show=_unless_none, right=True, wide=True),
    Column("heartbeat_at", "heartbeat", ago),
)
JOBS = (
    Column("id", right=True),
    Column("task"),
    Column("queue"),
    Column("status"),
    Column("attempts", right=True),
    Column("deferred_at", "deferred", ago),
    Column("finished_at", "ended", ago),
    Column("error_class", "error", short, wide=True),
    Column("error_message", "message", lambda text: (text or "")[:80], wide=True),
)


def read_since(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> Any:
    """30m, 2h, 1d as a span, or an ISO time with its zone."""
    try:
        return None if value is None else filter_text.read_moment(value)
    except (ValueError, OverflowError) as error:
        raise click.BadParameter(str(error)) from None


def read_filter(text: str) -> JobFilter:
    """A filter as it was typed."""
    try:
        return filter_text.parse(text)
    except filter_text.BadFilter as error:
        raise click.UsageError(str(error)) from None


@verb("status", examples=("taskhub status", "taskhub status -o json"))
@click.pass_context
def status(ctx: click.Context, asked: Asked) -> None:
    """How the queues stand, on one screen; exit code 8 if work waits that nobody does."""
    hub, _ = asked.hub(tasks=False)
    with hub.engine.connect() as connection:
        behind = migrations.behind(connection, hub.settings)
        if behind:
            raise migrations.SchemaBehind(behind)
        notes = [migrations.behind(connection, hub.settings, branch="kb")]
    queues, workers = insight.queues(hub), insight.workers(hub)
    keys = insight.held_keys(hub)
    warnings = _warnings(hub, queues) + _open_breakers(keys)
    told = {
        "verdict": "unhealthy" if warnings else "healthy",
        "database": masked(hub.url.render_as_string(hide_password=True)),
        "warnings": warnings,
        "notes": [f"knowledge base: {note}" for note in notes if note]
        + _holds(hub)
        + [f"jobs of limit {k.name!r} wait for tokens" for k in keys if k.lacks_tokens]
        + _overdue(workers),
        "counts": insight.counts(hub),
        "queues": queues,
        "workers": workers,
    }
    write_object(
        asked, told, key="verdict", table=_screen(asked, told) if wants_table(asked) else None
    )
    hub.close()
    if warnings:
        ctx.exit(UNHEALTHY)


def _warnings(hub: Hub, queues: list[QueueState]) -> list[str]:
    lonely = [
        f"queue {q.queue!r} holds {q.ready} ready jobs and has no live worker; "
        f"run `taskhub worker --queue {q.queue}`"
        for q in queues
        if q.ready and not q.workers
    ]
    return lonely + [_unserved(count) for count in insight.unserved(hub)]


def _unserved(count: TaskCount) -> str:
    told = f"{count.jobs} jobs of task {count.task!r} wait in queue {count.queue!r}, and "
    if count.newest_version is None:
        return told + "no live worker knows it"
    return (
        f"{told}their version is {count.version}, which no live worker knows: the newest one has "
        f"{count.newest_version}"
    )


def _open_breakers(keys: list[HeldKey]) -> list[str]:
    return [
        f"the breaker of limit {k.name!r} opened {ago(k.opened_at)}: {k.open_reason}; "
        f"`taskhub resume --key {k.name}` closes it"
        for k in keys
        if k.opened_at is not None
    ]


def _holds(hub: Hub) -> list[str]:
    held = horizon.hold(hub)
    notes = [str(held)] if held is not None else []
    found = insight.overlaps(hub)
    if found.longest_seconds is not None:
        notes.append(
            f"{found.runs} runs of paused workers overlapped with the next run of their job within a day, "
            f"the longest for {found.longest_seconds:.1f} s; what they write through the hub was refused"
        )
    return notes


def _overdue(workers: list[WorkerState]) -> list[str]:
    return [
        f"worker {w.id} has {w.overdue} overdue jobs in threads that cannot be stopped, "
        f"and left {w.deserted} coroutines behind"
        for w in workers
        if w.overdue or w.deserted
    ]


def _screen(asked: Asked, told: dict[str, Any]) -> str:
    parts = [f"{told['verdict']}  {told['database']}"]
    parts += [f"  ! {visible(line)}" for line in told["warnings"]]
    parts += [f"  - {visible(line)}" for line in told["notes"]]
    parts += ["", table(asked, told["queues"], QUEUES), "", table(asked, told["workers"], WORKERS)]
    return "\n".join(parts)


@verb("queues", examples=("taskhub queues", "taskhub queues --fair-keys indexing"))
@click.option("--fair-keys", "queue", metavar="QUEUE", help="The fair keys that wait in one queue.")
def queues(asked: Asked, queue: str | None) -> None:
    """Every queue with its counts, or whose jobs wait for their turns in one."""
    hub, _ = asked.hub(tasks=False)
    if queue is None:
        write_rows(asked, insight.queues(hub), QUEUES, key="queue")
    else:
        write_rows(asked, insight.fair_keys(hub, queue), FAIR_KEYS, key="fair_key")
    hub.close()


@verb("workers", examples=("taskhub workers", "taskhub workers --stopped"))
@click.option("--stopped", is_flag=True, help="Also those that are gone.")
def workers(asked: Asked, stopped: bool) -> None:
    """The workers and their heartbeats."""
    hub, _ = asked.hub(tasks=False)
    write_rows(asked, insight.workers(hub, stopped=stopped), WORKERS)
    hub.close()


@verb(
    "ls",
    examples=(
        "taskhub ls state:failed since:1h args.document_id:42",
        "taskhub ls --status failed --since 1h",
        "taskhub ls -q mail -o ids",
    ),
)
@click.argument("words", metavar="[FILTER]...", nargs=-1)
@click.option("--queue", "-q", "queues", multiple=True, help="Only this queue.")
@click.option("--task", "tasks", multiple=True, help="Only this task; globs work.")
@click.option("--status", "states", multiple=True, type=click.Choice(filter_text.STATES))
@click.option("--since", callback=read_since, help="30m, 2h, 1d or an ISO time.")
@click.option("--error", help="Text or glob in the last error.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@click.option("--before", "before_id", type=int, help="Only jobs with a lower id: the next page.")
def ls(
    asked: Asked,
    words: tuple[str, ...],
    queues: tuple[str, ...],
    tasks: tuple[str, ...],
    states: tuple[str, ...],
    since: Any,
    error: str | None,
    limit: int,
    before_id: int | None,
) -> None:
    """Jobs, the newest first, those that succeeded too.

    FILTER is words like state:failed, error:"no route" and -queue:mail; the options come on top of it.
    """
    given = {
        "queues": queues, "tasks": tasks, "statuses": states, "since": since, "error": error,
    }  # fmt: skip
    wanted = dataclasses.replace(
        read_filter(" ".join(words)), **{name: value for name, value in given.items() if value}
    )
    hub, _ = asked.hub(tasks=False)
    page = insight.page(hub, wanted, limit=limit, before_id=before_id)
    if not page.jobs:
        hint(hub, queues=queues, tasks=tasks)
    hub.close()
    write_rows(asked, page.jobs, JOBS)
    if page.before_id is not None and len(page.jobs) < limit:
        say(f"looked at jobs down to {page.before_id}; go on with --before {page.before_id}")
    if page.searched is not None:
        say(
            f"searched the arguments of the newest {page.searched} jobs: no task keeps them to search"
        )


@verb("show", examples=("taskhub show 42", "taskhub show 42 -o json"))
@click.argument("job_id", type=click.IntRange(min=1))
def show(asked: Asked, job_id: int) -> None:
    """One job: arguments, attempts, what the last one logged, its traceback, the result."""
    hub, _ = asked.hub(tasks=False)
    found = insight.job(hub, job_id)
    hub.close()
    write_object(asked, found, table=_job_screen(found))


def _job_screen(job: JobDetail) -> str:
    lines = [f"job {job.id}  {job.task}  {job.status}", f"  queue      {job.queue}"]
    told = ("priority", "lock", "unique_key", "args", "version", "progress", "result")
    for name in (*told, "attempts", "lost"):
        value = getattr(job, name)
        if value not in (None, 0):
            lines.append(f"  {name:<10} {visible(str(value))}")
    times = ("deferred_at", "scheduled_at", "expires_at", "started_at", "finished_at")
    lines += [
        f"  {name:<12} {at.isoformat(timespec='seconds')} ({ago(at)})"
        for name in times
        if (at := getattr(job, name)) is not None
    ]
    for attempt in job.history:
        where = f"{attempt.host}:{attempt.pid}" if attempt.host else "no worker"
        took = f"  {span(attempt.duration_seconds)}" if attempt.duration_seconds is not None else ""
        error = f"  {attempt.error_class}: {attempt.error_message}" if attempt.error_class else ""
        lines.append(
            f"  attempt {attempt.attempt}  {attempt.outcome}{took}  {where}{visible(error)}"
        )
    last = job.history[-1] if job.history else None
    for text in (last.log, last.traceback) if last is not None else ():
        if text:
            lines += ["", *(visible(line) for line in text.splitlines())]
    return "\n".join(lines)
