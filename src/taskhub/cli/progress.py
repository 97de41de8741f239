"""How far something long is: a bar at a terminal, elsewhere a plain line for each tenth of it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from taskhub.cli.options import Asked, say

if TYPE_CHECKING:
    from rich.progress import Progress

# What is told: how much is done, of how much if that is known, and what it is.
Tell = Callable[[int, int | None, str], None]
# So many go between two lines where nobody knows the end.
STEP = 20
BAR_CELLS = 20


@contextmanager
def progress(asked: Asked) -> Iterator[Tell]:
    """What is called with how far it is, as often as one likes; it leaves no bar behind."""
    if not (sys.stderr.isatty() and asked.colors(sys.stderr)):
        yield _lines()
        return
    with _bar() as bar:
        task = bar.add_task("", total=None, told="")

        def tell(done: int, of: int | None, what: str) -> None:
            bar.update(task, completed=done, total=of, told=_told(done, of, what))

        yield tell


def _lines() -> Tell:
    last = -1

    def tell(done: int, of: int | None, what: str) -> None:
        nonlocal last
        step = done // STEP if of is None else done * 10 // max(of, 1)
        if step != last:
            last = step
            say(f"  {_told(done, of, what)}")

    return tell


def _bar() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True, highlight=False, emoji=False, markup=False)
    return Progress(
        BarColumn(bar_width=min(BAR_CELLS, console.width // 4)),
        TextColumn("{task.fields[told]}", markup=False),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )


def _told(done: int, of: int | None, what: str) -> str:
    return f"{done} {what}" if of is None else f"{done} of {of} {what}"
