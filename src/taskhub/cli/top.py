"""`taskhub top`: the queues, the workers and what runs, on one screen that renews itself."""

from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click
from sqlalchemy.exc import OperationalError

from taskhub.cli.look import QUEUES, WORKERS, short
from taskhub.cli.options import Asked, is_dumb, verb
from taskhub.cli.output import Column, ago, rich_grid, table, visible, wants_table, write_object
from taskhub.queue import Hub, insight
from taskhub.queue.filters import JobFilter
from taskhub.queue.states import Counts, JobLine, QueueState, WorkerState
from taskhub.settings.masking import masked

if TYPE_CHECKING:
    from rich.console import RenderableType

MOST_RUNNING = 15
MOST_FAILED = 5
FAILED_LATELY = timedelta(minutes=15)
# How soon a key or another size of the window is noticed.
KEY_SECONDS = 0.2
QUIT = frozenset("qQ\x1b")
RUNNING = (
    Column("id", "job", right=True),
    Column("task"),
    Column("queue"),
    Column("worker_id", "worker", right=True),
    Column("attempts", right=True),
    Column("started_at", "began", ago),
)
FAILED = (
    Column("id", "job", right=True),
    Column("task"),
    Column("queue"),
    Column("finished_at", "failed", ago),
    Column("error_class", "error", short, wide=True),
    Column("error_message", "message", lambda text: (text or "")[:80], wide=True),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """What one look saw.

    Attributes:
        deferred_a_second: by the ids that were given since the look before; None at the first one.
    """

    database: str
    at: float
    highest_id: int
    deferred_a_second: float | None
    counts: Counts
    queues: list[QueueState]
    workers: list[WorkerState]
    running: list[JobLine]
    failed: list[JobLine] = field(default_factory=list)


def look(hub: Hub, before: Shot | None) -> Shot:
    """Look at everything once."""
    [ids] = hub.read("read_id_range")
    now, highest = time.monotonic(), ids["highest_id"] or 0
    rate = None
    if before is not None and now > before.at:
        rate = (highest - before.highest_id) / (now - before.at)
    wanted = JobFilter(statuses=("failed",), since=FAILED_LATELY)
    return Shot(
        database=masked(hub.url.render_as_string(hide_password=True)),
        at=now,
        highest_id=highest,
        deferred_a_second=rate,
        counts=insight.counts(hub, since=timedelta(minutes=1)),
        queues=insight.queues(hub),
        workers=insight.workers(hub),
        running=insight.running(hub, limit=MOST_RUNNING),
        failed=insight.jobs(hub, wanted, limit=MOST_FAILED),
    )


@verb("top", examples=("taskhub top", "taskhub top --once", "taskhub top --once -o json"))
@click.option(
    "--once",
    is_flag=True,
    help="Print it once; so it is in a pipe, and at a terminal that knows no escapes.",
)
@click.option(
    "--every", "every_seconds", type=click.FloatRange(0.2, 3600), default=2.0, show_default=True,
    metavar="SECONDS", help="How long between two looks.",
)  # fmt: skip
def top(asked: Asked, once: bool, every_seconds: float) -> None:
    """The queues, the workers, what runs longest and what failed lately; q ends it.

    What ended is of the last minute. What was deferred is told by the ids that were given.
    """
    hub, _ = asked.hub(tasks=False)
    shot = look(hub, None)
    live = sys.stdin.isatty() and sys.stdout.isatty() and not is_dumb() and wants_table(asked)
    if once or not live:
        told = {name: getattr(shot, name) for name in ("database", "counts", "queues", "workers")}
        told |= {"running": shot.running, "failed": shot.failed}
        write_object(asked, told, key="database", table=_screen(asked, shot))
    else:
        _live(asked, hub, shot, every_seconds)
    hub.close()


def _head(shot: Shot) -> str:
    counts = shot.counts
    ended = f"{counts.succeeded_lately} succeeded, {counts.failed_runs_lately} failed in a minute"
    if counts.is_more_lately:
        ended = f"more than {ended}"
    came = (
        f"{shot.deferred_a_second:.1f} deferred/s, " if shot.deferred_a_second is not None else ""
    )
    stand = (
        f"{counts.ready} ready, {counts.scheduled} scheduled, {counts.running} running, "
        f"{counts.failed} dead letters"
    )
    return f"{time.strftime('%H:%M:%S')}  {visible(shot.database)}\n{stand}; {came}{ended}"


def _parts(shot: Shot) -> list[tuple[str, list[Any], tuple[Column, ...]]]:
    return [
        ("queues", shot.queues, QUEUES),
        ("workers", shot.workers, WORKERS),
        ("running, the longest first", shot.running, RUNNING),
        ("failed in the last 15 minutes", shot.failed, FAILED),
    ]


def _screen(asked: Asked, shot: Shot) -> str:
    lines = [_head(shot)]
    for title, rows, columns in _parts(shot):
        lines += ["", title, table(asked, rows, columns)]
    return "\n".join(lines)


def _rendered(shot: Shot, note: str) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    head = Text(f"{_head(shot)}  (q ends this){note}")
    parts: list[RenderableType] = [head]
    for title, rows, columns in _parts(shot):
        parts += [Text(""), Text(title, style="bold"), rich_grid(rows, columns)]
    return Group(*parts)


def _live(asked: Asked, hub: Hub, shot: Shot, every_seconds: float) -> None:
    from rich.console import Console
    from rich.live import Live

    colors = asked.colors(sys.stdout)
    console = Console(no_color=not colors, highlight=False, emoji=False, markup=False)
    note = ""
    with _keys(), Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            live.update(_rendered(shot, note), refresh=True)
            if _waits(live.refresh, every_seconds):
                return
            try:
                shot, note = look(hub, shot), ""
            except OperationalError:
                # What is on the screen stays, and says that it is old.
                note = "  the database is away; trying again"


def _waits(refresh: Any, seconds: float) -> bool:
    """Wait so long, draw anew where the window's size changes; True where a key ends it."""
    until, size = time.monotonic() + seconds, os.get_terminal_size(sys.stdout.fileno())
    while (left := until - time.monotonic()) > 0:
        if select.select([sys.stdin], [], [], min(left, KEY_SECONDS))[0]:
            key = os.read(sys.stdin.fileno(), 1).decode(errors="replace")
            if not key or key in QUIT:
                return True
        if (now := os.get_terminal_size(sys.stdout.fileno())) != size:
            size = now
            refresh()
    return False


@contextmanager
def _keys() -> Iterator[None]:
    """Single keys instead of lines; Ctrl-C stays a signal."""
    import termios
    import tty

    before = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
