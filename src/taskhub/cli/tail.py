"""`taskhub tail`: what happens to jobs, as it happens."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import click
from sqlalchemy.exc import OperationalError

from taskhub.cli.look import read_since
from taskhub.cli.options import Asked, say, verb
from taskhub.cli.output import STYLES, Column, Lines, visible
from taskhub.queue.stream import EVENTS, Event, Stream
from taskhub.queue.why.words import span

LOOK_SECONDS = 0.5
AGAIN_SECONDS = 2.0
LATELY = timedelta(minutes=10)
COLUMNS = tuple(
    Column(name)
    for name in (
        "at", "event", "job_id", "attempt", "task", "queue", "worker_id", "seconds", "error_class",
        "error_message",
    )
)  # fmt: skip


@verb(
    "tail",
    examples=(
        "taskhub tail -f",
        "taskhub tail -f --queue mail --event failed --event retried",
        "taskhub tail --since 1h --job 42 -o jsonl",
    ),
)
@click.option("--follow", "-f", is_flag=True, help="Go on until Ctrl-C.")
@click.option("--queue", "-q", "queues", multiple=True, help="Only this queue.")
@click.option("--task", "tasks", multiple=True, help="Only this task; globs work.")
@click.option("--job", "job_ids", type=click.IntRange(min=1), multiple=True, help="Only this job.")
@click.option("--event", "events", multiple=True, type=click.Choice(EVENTS))
@click.option(
    "--since", callback=read_since, help="30m, 2h, 1d or an ISO time. [default: 10m, with -f: now]"
)
@click.option("--limit", "-n", type=click.IntRange(1, 2000), default=20, show_default=True,
              help="Without -f: the last so many.")  # fmt: skip
@click.option("--logs/--no-logs", default=True, help="What a run logged, below its end.")
def tail(asked: Asked, follow: bool, since: Any, limit: int, logs: bool, **wanted: Any) -> None:
    """Print events of jobs: deferred, started, and how each run ended, with what it logged.

    With -f and --since all that happened since then comes first. Every second a bounded number of rows is
    read; where more happens than can be given it says so. -o jsonl has everything, the log too.
    """
    if asked.output == "json":
        raise click.UsageError("-o json is a list with an end; take -o jsonl")
    hub, _ = asked.hub(tasks=False)
    printer = _Printer(asked, logs=logs)
    if follow:
        _follow(Stream(hub, since=since, **wanted), printer)
    else:
        printer.write(_newest(Stream(hub, **wanted), since, limit))
    hub.close()


def _newest(stream: Stream, since: datetime | timedelta | None, limit: int) -> list[Event]:
    if isinstance(since, datetime):
        since = datetime.now(since.tzinfo) - since
    return stream.newest(since or LATELY, most=limit)


def _follow(stream: Stream, printer: _Printer) -> None:
    was_away = was_behind = False
    first = True
    while True:
        try:
            events = stream.more()
        except OperationalError:
            if first:
                raise
            if not was_away:
                say("the database is away; trying again")
            was_away = True
            time.sleep(AGAIN_SECONDS)
            continue
        if was_away:
            say("the database is back")
            was_away = False
        if first and sys.stderr.isatty():
            say("following; Ctrl-C ends it")
        first = False
        printer.write(events)
        if stream.is_behind and not was_behind:
            say("more happens than can be shown, and some of it is left out; narrow it down")
        was_behind = stream.is_behind
        if not stream.has_more:
            time.sleep(LOOK_SECONDS)


class _Printer:
    """Writes events as they come, in the form that was asked for."""

    def __init__(self, asked: Asked, *, logs: bool) -> None:
        self._lines = Lines(asked, COLUMNS, key="job_id")
        self._logs = logs

    def write(self, events: Iterable[Event]) -> None:
        for event in events:
            self._lines.write(event, lambda event=event: self._told(event))  # type: ignore[misc]  # bound at once

    def _told(self, event: Event) -> str:
        at = event.at.astimezone().strftime("%H:%M:%S")
        took = f"  {span(event.seconds)}" if event.seconds is not None else ""
        attempt = f"  attempt {event.attempt}" if event.attempt > 1 else ""
        error = f"  {event.error_class}: {event.error_message}" if event.error_class else ""
        state = self._lines.styled(f"{event.event:<11}", STYLES.get(event.event, ""))
        name = visible(f"{event.task}  {event.queue}")
        line = f"{at}  {state} job {event.job_id}  {name}{attempt}{took}{visible(error)}"
        if not self._logs or not event.log:
            return line
        return "\n".join([line, *(f"    {visible(one)}" for one in event.log.splitlines())])
