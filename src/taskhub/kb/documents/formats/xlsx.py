"""Workbooks: sheet by sheet, one line a row."""

import datetime
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, BinaryIO

from taskhub.kb.documents.archives import package
from taskhub.kb.documents.failures import BadDocument, Problem
from taskhub.kb.documents.limits import Limits
from taskhub.kb.documents.rows import lines

# A sheet is a rectangle in memory, so what lies empty between two cells counts as well.
EMPTY_FOR_EACH_CELL = 4
_CELL = re.compile("([A-Z]{1,3})([0-9]{1,7})")


def extract(file: BinaryIO, limits: Limits) -> Iterator[str]:
    """Blocks of lines, one a row, each value with its heading; sheets begin with their name."""
    for name, found in _sheets(file, limits):
        yield from lines(found, title=name)


def rows(file: BinaryIO, limits: Limits) -> Iterator[list[str]]:
    """The values of each row of the first sheet that has any, headings first."""
    for _, found in _sheets(file, limits):
        anything = False
        for row in found:
            anything = True
            yield row
        if anything:
            return


def _sheets(file: BinaryIO, limits: Limits) -> Iterator[tuple[str, Iterator[list[str]]]]:
    import python_calamine

    census = _Census(limits)
    with package(file, limits, "xlsx", census.watch) as checked:
        census.close()
        try:
            book = python_calamine.CalamineWorkbook.from_filelike(checked)
            visible = [
                sheet.name
                for sheet in book.sheets_metadata
                if sheet.typ is python_calamine.SheetTypeEnum.WorkSheet
                and sheet.visible is python_calamine.SheetVisibleEnum.Visible
            ]
            for name in visible:
                sheet = book.get_sheet_by_name(name)
                yield name, ([_shown(value) for value in row] for row in sheet.iter_rows())
        except (python_calamine.CalamineError, ValueError) as error:
            raise BadDocument(Problem.DAMAGED, f"damaged xlsx file: {error}") from error


def _shown(value: Any) -> str:
    """A value as a reader of the sheet knows it."""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime.datetime):
        midnight = value.time() == datetime.time()
        return value.date().isoformat() if midnight else value.isoformat(" ", "seconds")
    return str(value).strip()


class _Census:
    """Counts what a workbook would be in memory, while its markup is checked."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.cells = 0
        self.area = 0
        self.uses: Counter[int] = Counter()
        self.lengths: list[int] = []

    def watch(self) -> "_Part":
        return _Part(self)

    def close(self) -> None:
        """One long text may be shown in every cell, and is copied for each.

        Raises:
            BadDocument: the cells' texts together are above the limit.
        """
        known = len(self.lengths)
        size = sum(self.lengths[text] * n for text, n in self.uses.items() if 0 <= text < known)
        self.limits.check("max_uncompressed_bytes", size, "bytes of all cells' texts")


class _Part:
    """One part of the package: a sheet, the texts that cells share, or something else."""

    def __init__(self, census: _Census) -> None:
        self._census = census
        self._root = ""
        self._row = self._column = 0
        self._shared = self._in_value = False
        self._value = ""
        self._box: tuple[int, int, int, int] | None = None

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """An element begins."""
        self._root = self._root or name
        if self._root == "sst":
            if name == "si":
                self._census.lengths.append(0)
        elif name == "row":
            self._row, self._column = self._row + 1, 0
            if attributes.get("r", "").isdecimal():
                self._row = int(attributes["r"])
        elif name == "c":
            self._place(attributes.get("r"))
            self._shared = attributes.get("t") == "s"
            self._value = ""
        elif name in ("v", "is", "f") and self._root == "worksheet":
            self._in_value = name == "v"
            if name != "f":
                self._fill()

    def text(self, text: str) -> None:
        """A bit of the text between two marks."""
        if self._root == "sst" and self._census.lengths:
            self._census.lengths[-1] += len(text)
        elif self._in_value and self._shared and len(self._value) < 20:
            self._value += text

    def end(self, name: str) -> None:
        """An element is over."""
        if name == "v":
            self._in_value = False
            if self._shared and self._value.strip().isdecimal():
                self._census.uses[int(self._value)] += 1
        elif name == "worksheet" and self._box is not None:
            top, left, bottom, right = self._box
            self._census.area += (bottom - top + 1) * (right - left + 1)
            most = self._census.limits.max_cells * EMPTY_FOR_EACH_CELL
            if self._census.area > most:
                self._census.limits.check(
                    "max_cells",
                    self._census.area // EMPTY_FOR_EACH_CELL,
                    f"a {EMPTY_FOR_EACH_CELL}th of the rectangle around the cells",
                )

    def _place(self, reference: str | None) -> None:
        if reference is None:
            self._column += 1
            return
        found = _CELL.fullmatch(reference)
        if found is None:
            raise BadDocument(Problem.DAMAGED, f"damaged xlsx file: no cell is {reference[:20]!r}")
        self._row, self._column = int(found[2]), 0
        for letter in found[1]:
            self._column = self._column * 26 + ord(letter) - 64

    def _fill(self) -> None:
        self._census.cells += 1
        if self._census.cells > self._census.limits.max_cells:
            self._census.limits.check("max_cells", self._census.cells, "filled cells")
        top, left, bottom, right = self._box or (self._row, self._column, self._row, self._column)
        self._box = (
            min(top, self._row),
            min(left, self._column),
            max(bottom, self._row),
            max(right, self._column),
        )
