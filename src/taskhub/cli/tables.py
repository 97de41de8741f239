"""Tables at a terminal: whole in whatever width, with nothing cut off."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.padding import Padding
from rich.style import Style
from rich.table import Column, Table
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

GAP = 2
INDENT = 4
# Where there is little room, names and texts are folded down to so many cells; numbers never.
NAME_CELLS = 20
TEXT_CELLS = 24
_TITLE = Style(bold=True)


class Fitted:
    """Rows in the widest of three layouts that the terminal holds.

    Side by side; with the texts of a row below it; or one value a line. Which one is decided when
    it is drawn, so that a window may change its size. rich draws each of them; it cannot choose.

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
        self._styles = {text: Style.parse(style) for text, style in styles.items()}

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """What rich draws in place of this."""
        every = list(range(len(self._titles)))
        names = [n for n in every if n not in self.texts]
        room = options.max_width
        if (widths := self._widths(every, room)) is not None:
            yield from self._grid(widths, [])
        elif not self._rows:
            yield Text((" " * GAP).join(self._titles), style=_TITLE)
        elif (widths := self._widths(names, room)) is not None:
            yield from self._grid(widths, sorted(self.texts))
        else:
            for number, row in enumerate(self._rows):
                if number:
                    yield Text()
                yield self._named(row, every)

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

    def _grid(self, widths: Mapping[int, int], below: Sequence[int]) -> Iterator[Table | Padding]:
        """The columns that have a width side by side, those of `below` beneath each row."""
        table = self._table(widths, titled=True)
        for row in self._rows:
            table.add_row(*[self._text(row, n) for n in widths])
            if below:
                yield table
                yield Padding(self._named(row, below), (0, 0, 0, INDENT))
                table = self._table(widths, titled=False)
        if not below:
            yield table

    def _table(self, widths: Mapping[int, int], *, titled: bool) -> Table:
        columns = [
            Column(
                Text(self._titles[n]),
                width=width,
                justify="right" if n in self.numbers else "left",
                overflow="fold",
            )
            for n, width in widths.items()
        ]
        return Table(
            *columns, box=None, padding=(0, GAP, 0, 0), pad_edge=False, show_header=titled,
            header_style=_TITLE,
        )  # fmt: skip

    def _named(self, row: Sequence[str], columns: Sequence[int]) -> Table:
        """Those of a row's values that there are, one below the other, each with its title before it."""
        grid = Table.grid(Column(no_wrap=True, style=_TITLE), Column(overflow="fold"))
        grid.padding = (0, GAP, 0, 0)
        for n in columns:
            if row[n]:
                grid.add_row(Text(self._titles[n]), self._text(row, n))
        return grid

    def _text(self, row: Sequence[str], n: int) -> Text:
        return Text(row[n], style=self._styles.get(row[n], ""))
