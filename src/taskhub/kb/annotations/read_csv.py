"""Read a CSV file of questions and answers; a row that cannot be used keeps its line and the reason."""

import io
from collections.abc import Iterator
from dataclasses import dataclass

from taskhub.kb.annotations.write import BadAnnotation, check
from taskhub.kb.documents.encoding import encoding_of
from taskhub.kb.documents.failures import BadDocument
from taskhub.kb.documents.formats.csv import SEPARATORS
from taskhub.kb.documents.numbered import numbered
from taskhub.kb.segments.cut import ANSWERS, QUESTIONS


class ImportRefused(ValueError):
    """The file as a whole cannot be imported; nothing of it was stored."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the file; `line` is where it begins, counted from 1; `error` why it is left out."""

    line: int
    question: str
    answer: str
    error: str | None


@dataclass(frozen=True, slots=True)
class Table:
    """What the file holds, and the encoding it was read in."""

    encoding: str
    rows: list[Row]


def read_csv(content: bytes, *, max_rows: int, max_bytes: int) -> Table:
    """The rows of a file with a question and an answer in each, with a header or without.

    Raises:
        ImportRefused: it is too large, no text, or has no row or too many.
    """
    if len(content) > max_bytes:
        raise ImportRefused(
            f"file must be at most {max_bytes} bytes, got {len(content)} or more; "
            "raise annotation_import_bytes to take it"
        )
    try:
        encoding = encoding_of(io.BytesIO(content))
    except BadDocument as error:
        raise ImportRefused(f"file must be a CSV text, got {error}") from error
    text = content.decode(encoding, "replace")
    rows = []
    for row in _rows(text, encoding):
        rows.append(row)
        if len(rows) > max_rows:
            raise ImportRefused(
                f"file must have at most {max_rows} rows, got more; split it or raise "
                "annotation_import_rows"
            )
    if not rows:
        raise ImportRefused(
            "file must have at least one row with a question and an answer, got none"
        )
    return Table(encoding, rows)


def _rows(text: str, encoding: str) -> Iterator[Row]:
    columns: tuple[int, int] | None = None
    for line, cells in numbered(text, _separator(text)):
        if isinstance(cells, str):
            yield Row(line, "", "", cells)
        elif not any(cell.strip() for cell in cells):
            continue
        elif columns is None:
            columns = _header(cells)
            if columns is None:
                columns = (0, 1)
                yield _row(line, cells, columns, encoding)
        else:
            yield _row(line, cells, columns, encoding)


def _separator(text: str) -> str:
    """The one that the first line has most of, outside of quotes."""
    first = text.lstrip().split("\n", 1)[0]
    outside = "".join(first.split('"')[::2])
    return max(SEPARATORS, key=outside.count)


def _header(cells: list[str]) -> tuple[int, int] | None:
    names = [cell.strip().lower() for cell in cells]
    question = next((n for n, name in enumerate(names) if name in QUESTIONS), None)
    answer = next((n for n, name in enumerate(names) if name in ANSWERS), None)
    return None if question is None or answer is None else (question, answer)


def _row(line: int, cells: list[str], columns: tuple[int, int], encoding: str) -> Row:
    if len(cells) <= max(columns):
        missing = f"row must have a question and an answer, got {len(cells)} column"
        return Row(line, cells[0][:100].replace("\0", ""), "", missing)
    question, answer = (cells[column].strip() for column in columns)
    error: str | None = None
    try:
        check(question, answer)
        if "\ufffd" in question + answer:
            raise BadAnnotation(f"row has bytes that are no {encoding}")
    except BadAnnotation as problem:
        error = str(problem)
        # Enough to find the row by; what is wrong with it may be its size.
        question, answer = (text[:100].replace("\0", "") for text in (question, answer))
    return Row(line, question, answer, error)
