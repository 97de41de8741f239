"""Read a table of segments: one a row, its text, or a question and its answer."""

import csv
import io
from dataclasses import dataclass, field

from taskhub.kb.documents.encoding import encoding_of
from taskhub.kb.documents.failures import BadDocument
from taskhub.kb.documents.formats.csv import SEPARATORS
from taskhub.kb.documents.numbered import numbered
from taskhub.kb.segments.cut import QUESTIONS
from taskhub.kb.segments.edit import BadSegment, checked

TITLE_CHARACTERS = 1000
# First cells that are a title and no segment, in both languages of the product.
_TITLES = frozenset({"text", "content", "segment", "内容", "分段内容", *QUESTIONS})


class BadImport(ValueError):
    """The file as a whole cannot be used; nothing of it was stored."""


@dataclass(frozen=True, slots=True)
class Row:
    """One segment to be: the line it begins at, counted from 1, and its text."""

    line: int
    text: str
    answer: str | None = None


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be a segment, and why."""

    line: int
    reason: str


@dataclass(slots=True)
class Sheet:
    """What a file holds, in its order."""

    rows: list[Row] = field(default_factory=list)
    bad: list[BadRow] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class SheetLimits:
    """How large a table may be."""

    max_bytes: int = 2_097_152
    max_rows: int = 10_000
    max_characters: int = 10_000


def read(content: bytes, limits: SheetLimits, *, with_answers: bool = False) -> Sheet:
    """The rows of a CSV file in any encoding, separated by comma, semicolon, tab or bar.

    A first row of titles is left out; under titles further columns may follow, which are not looked
    at. A bad row is named by its line, and the others go on. All is held in memory.

    Raises:
        BadImport: the file is too large, no text, or has no rows or too many.
    """
    if len(content) > limits.max_bytes:
        raise BadImport(
            f"file must be at most {limits.max_bytes} bytes, got {len(content)}; "
            "split it, or raise max_import_bytes"
        )
    text = _text(content)
    delimiter, titles = _shape(text, with_answers)
    # More cells than columns are a text with a comma in it that nobody put in quotes: it would
    # lose what comes after the comma.
    columns = titles or 1 + with_answers
    sheet = Sheet()
    for line, cells in numbered(text, delimiter):
        if isinstance(cells, str):
            sheet.bad.append(BadRow(line, cells))
        elif not any(cell.strip() for cell in cells):
            continue
        elif titles:
            titles = 0
        else:
            _take(sheet, line, cells, limits.max_characters, with_answers, columns)
        if len(sheet.rows) + len(sheet.bad) > limits.max_rows:
            raise BadImport(
                f"file must have at most {limits.max_rows} rows, got more; "
                "split it, or raise max_import_rows"
            )
    if not sheet.rows and not sheet.bad:
        raise BadImport("file must have a row with text, got none")
    return sheet


def _take(  # noqa: PLR0917 - one row and what is known of its file
    sheet: Sheet, line: int, cells: list[str], most: int, with_answers: bool, columns: int
) -> None:
    try:
        if with_answers and len(cells) < 2:
            raise BadSegment("row must have a question and an answer, got one column")
        if any(cell.strip() for cell in cells[columns:]):
            raise BadSegment(
                f"row must have {columns} column{'s'[: columns - 1]}, got {len(cells)}; put a text with "
                "a separator in it in double quotes"
            )
        answer = _cell("answer", cells[1], most) if with_answers else None
        sheet.rows.append(Row(line, _cell("text", cells[0], most), answer))
    except BadSegment as problem:
        sheet.bad.append(BadRow(line, str(problem)))


def _cell(name: str, cell: str, most: int) -> str:
    try:
        return checked(cell, most)
    except BadSegment as problem:
        raise BadSegment(str(problem).replace("text", name, 1)) from None


def _text(content: bytes) -> str:
    try:
        return content.decode(encoding_of(io.BytesIO(content)))
    except (BadDocument, UnicodeDecodeError) as problem:
        raise BadImport(f"file must be text in columns, got {problem}") from None


def _shape(text: str, with_answers: bool) -> tuple[str, int]:
    """What separates the columns, and how many titles the first row holds, 0 if it holds none."""
    lines = (line for line in text.splitlines() if line.strip())
    first = next(lines, "")[:TITLE_CHARACTERS]
    for delimiter in SEPARATORS if first else ():
        cells = next(csv.reader([first], delimiter=delimiter))
        if cells[0].strip().lower() in _TITLES:
            return delimiter, len(cells)
        if with_answers and len(cells) > 1:
            return delimiter, 0
    return ",", 0
