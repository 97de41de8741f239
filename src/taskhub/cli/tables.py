"""Tables at a terminal: whole in whatever width, with nothing cut off."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, NamedTuple

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

GAP = 2
INDENT = 4
# Where there is little room, names and texts are folded down to so many cells; numbers never.
NAME_CELLS = 20
TEXT_CELLS = 24
_TITLE = Style(bold=True)


class _Cell(NamedTuple):
    text: str
    width: int
    style: Style | None = None
    right: bool = False


class Fitted:
    """Rows in the widest of three layouts that the terminal holds.

    Side by side; with the texts of a row below it; or one value a line. Which one is decided when
    it is drawn, so that a window may change its size. Drawn without rich's own tables: those take a
    millisecond and more a row.

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
            yield from self._grid(console, widths, [], room)
        elif not self._rows:
            yield Text((" " * GAP).join(self._titles), style=_TITLE)
        elif (widths := self._widths(names, room)) is not None:
            yield from self._grid(console, widths, sorted(self.texts), room)
        else:
            for number, row in enumerate(self._rows):
                if number:
                    yield Segment.line()
                yield from self._named(console, row, every, room, 0)

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
        self, console: Console, widths: Mapping[int, int], below: Sequence[int], room: int
    ) -> Iterator[Segment]:
        """The columns that have a width side by side, those of `below` beneath each row."""
        titles = [
            _Cell(self._titles[n], width, _TITLE, n in self.numbers) for n, width in widths.items()
        ]
        yield from _lines(console, titles)
        for row in self._rows:
            yield from _lines(console, [self._cell(row, n, width) for n, width in widths.items()])
            yield from self._named(console, row, below, room - INDENT, INDENT)

    def _named(
        self, console: Console, row: Sequence[str], columns: Sequence[int], room: int, indent: int
    ) -> Iterator[Segment]:
        """Those of a row's values that there are, one below the other, each with its title before it."""
        there = [n for n in columns if row[n]]
        title = max((cell_len(self._titles[n]) for n in there), default=0)
        for n in there:
            named = _Cell(self._titles[n], title, _TITLE)
            value = self._cell(row, n, max(room - title - GAP, 1))._replace(right=False)
            yield from _lines(console, [named, value], indent)

    def _cell(self, row: Sequence[str], n: int, width: int) -> _Cell:
        return _Cell(row[n], width, self._styles.get(row[n]), n in self.numbers)


def _lines(console: Console, cells: Sequence[_Cell], indent: int = 0) -> Iterator[Segment]:
    folded = [_folded(console, cell.text, cell.width) for cell in cells]
    for parts in zip_longest(*folded, fillvalue=""):
        blanks = indent
        for part, cell in zip(parts, cells, strict=True):
            free = cell.width - cell_len(part)
            before, after = (free, 0) if cell.right else (0, free)
            if part:
                yield Segment(" " * (blanks + before))
                yield Segment(part, cell.style)
                blanks = 0
            else:
                blanks += before
            blanks += after + GAP
        yield Segment.line()


def _folded(console: Console, text: str, width: int) -> list[str]:
    if cell_len(text) <= width:
        return [text]
    lines = Text(text).wrap(console, width, overflow="fold")
    return [line.plain.rstrip() for line in lines]
