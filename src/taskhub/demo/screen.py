"""What the demo shows: bars on a terminal, plain lines in a pipe."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


class Bar:
    """How far one long step is; `at` may be called as often as one likes."""

    def __init__(self, screen: "Screen", what: str, progress: Progress | None) -> None:
        self._screen = screen
        self._what = what
        self._progress = progress
        self._task = progress.add_task(what, total=None) if progress else None
        self._told = ""

    def at(self, done: int, of: int, note: str = "") -> None:
        """Show `done` out of `of`; in a pipe only when a tenth more is done."""
        if self._progress is not None and self._task is not None:
            text = escape(f"{self._what} {note}".strip())
            self._progress.update(self._task, completed=done, total=of, description=text)
            return
        tenth = f"{done * 10 // max(of, 1)}/{of}"
        if tenth != self._told:
            self._told = tenth
            self._screen.line(f"  {self._what}: {done}/{of} {note}".rstrip())


class Screen:
    """The demo's standard output; without `colors` no escapes, with None as rich finds right."""

    def __init__(self, *, colors: bool | None = None) -> None:
        # A pipe has no width of its own; long lines must stay whole for whoever greps them.
        self._console = Console(
            highlight=False, soft_wrap=True, force_terminal=colors, no_color=colors is False
        )

    def heading(self, number: int, text: str) -> None:
        """The title of a chapter."""
        self._console.print(f"\n[bold]{number}. {escape(text)}[/bold]")

    def line(self, text: str) -> None:
        """One line as it is."""
        self._console.print(escape(text))

    def good(self, text: str) -> None:
        """A line that says that something was seen to hold."""
        self._console.print(f"  [green]ok[/green] {escape(text)}")

    def raw(self, text: str) -> None:
        """A line that a program reads: no wrapping, no colour."""
        self._console.out(text, highlight=False)

    @contextmanager
    def bar(self, what: str) -> Iterator[Bar]:
        """A progress bar for as long as the block lasts."""
        if not (self._console.is_terminal and sys.stdout.isatty()):
            yield Bar(self, what, None)
            return
        columns = (
            TextColumn("  {task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self._console) as progress:
            yield Bar(self, what, progress)
