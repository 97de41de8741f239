"""Tables at a terminal: whole in whatever width, with nothing cut off."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType

GAP = 2
INDENT = 4
# Where there is little room, names and texts are folded down to so many cells; numbers never.
NAME_CELLS = 20
TEXT_CELLS = 24


class Fitted:
    """Rows in the widest of three layouts that the terminal holds.

    Side by side; with the texts of a row below it; or one value a line. Which one is decided when
    it is drawn, so that a window may change its size.

    Attributes:
        numbers: the columns that stand at the right and are not folded.
        texts: the columns that may go below.
    """

    def __init__(
        self,
        titles: Sequence[str],
        rows: Iterable[Sequence[str]],
        *,
        numbers: frozenset[int],
        texts: frozenset[int],
        styles: Mapping[str, str],
    ) -> None:
        self._titles = titles
        self._rows = list(rows)
        self.numbers = numbers
        self.texts = texts
        self._styles = styles

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        """What rich draws in place of this."""
        every = list(range(len(self._titles)))
        names = [n for n in every if n not in self.texts]
        if (widths := self._widths(every, options.max_width)) is not None:
            yield self._grid(self._rows, widths)
        elif not self._rows:
            yield Text((" " * GAP).join(self._titles), style="bold")
        elif (widths := self._widths(names, options.max_width)) is not None:
            yield from self._with_texts_below(widths, options.max_width)
        else:
            yield from self._one_value_a_line(options.max_width)

    def _widths(self, columns: Sequence[int], room: int) -> dict[int, int] | None:
        """How wide each of these columns is; None where they have no room."""
        room -= GAP * (len(columns) - 1)
        natural = {n: max(cell_len(row[n]) for row in (self._titles, *self._rows)) for n in columns}
        least = {
            n: width
            if n in self.numbers
            else min(width, TEXT_CELLS if n in self.texts else NAME_CELLS)
            for n, width in natural.items()
        }
        widths = {n: min(width, max(room, least[n])) for n, width in natural.items()}
        while sum(widths.values()) > room:
            foldable = [n for n in columns if widths[n] > least[n]]
            if not foldable:
                return None
            widths[max(foldable, key=lambda n: (n in self.texts, widths[n]))] -= 1
        return widths

    def _grid(
        self, rows: Iterable[Sequence[str]], widths: Mapping[int, int], *, header: bool = True
    ) -> Table:
        grid = Table(
            box=None,
            pad_edge=False,
            header_style="bold",
            padding=(0, GAP, 0, 0),
            show_header=header,
        )
        for n, width in widths.items():
            grid.add_column(
                self._titles[n],
                justify="right" if n in self.numbers else "left",
                width=width,
                overflow="fold",
            )
        for row in rows:
            grid.add_row(*(self._cell(row[n]) for n in widths))
        return grid

    def _with_texts_below(self, widths: Mapping[int, int], room: int) -> Iterator[RenderableType]:
        for number, row in enumerate(self._rows):
            yield self._grid([row], widths, header=number == 0)
            told = [n for n in sorted(self.texts) if row[n]]
            if told:
                yield Padding(self._named(row, told, room - INDENT), (0, 0, 0, INDENT))

    def _one_value_a_line(self, room: int) -> Iterator[RenderableType]:
        for number, row in enumerate(self._rows):
            if number:
                yield Text("")
            yield self._named(row, [n for n in range(len(row)) if row[n]], room)

    def _named(self, row: Sequence[str], columns: Sequence[int], room: int) -> Table:
        """Some of a row's values, each with its title before it."""
        title = max(cell_len(self._titles[n]) for n in columns)
        value = max(room - title - GAP, 1)
        lines = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), show_header=False)
        lines.add_column(width=title, style="bold", overflow="fold")
        lines.add_column(width=value, overflow="fold")
        for n in columns:
            lines.add_row(self._titles[n], self._cell(row[n]))
        return lines

    def _cell(self, text: str) -> Text:
        return Text(text, style=self._styles.get(text, ""))
