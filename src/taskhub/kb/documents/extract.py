"""Text out of files, one format a module, loaded when the first such file comes."""

import enum
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import PurePath
from typing import BinaryIO, TypeVar, cast

from taskhub.kb.documents.failures import BadDocument, Problem
from taskhub.kb.documents.limits import Limits, over

UNCHANGED = Limits()


class Format(enum.StrEnum):
    """What can be read."""

    TEXT = "txt"
    MARKDOWN = "md"
    HTML = "html"
    PDF = "pdf"
    CSV = "csv"
    DOCX = "docx"
    XLSX = "xlsx"
    PPTX = "pptx"
    EPUB = "epub"


EXTENSIONS = {
    ".txt": Format.TEXT,
    ".text": Format.TEXT,
    ".md": Format.MARKDOWN,
    ".markdown": Format.MARKDOWN,
    ".html": Format.HTML,
    ".htm": Format.HTML,
    ".pdf": Format.PDF,
    ".csv": Format.CSV,
    ".tsv": Format.CSV,
    ".docx": Format.DOCX,
    ".xlsx": Format.XLSX,
    ".pptx": Format.PPTX,
    ".epub": Format.EPUB,
}
_OFFICE = "application/vnd.openxmlformats-officedocument"
MEDIA_TYPES = {
    Format.TEXT: "text/plain",
    Format.MARKDOWN: "text/markdown",
    Format.HTML: "text/html",
    Format.PDF: "application/pdf",
    Format.CSV: "text/csv",
    Format.DOCX: f"{_OFFICE}.wordprocessingml.document",
    Format.XLSX: f"{_OFFICE}.spreadsheetml.sheet",
    Format.PPTX: f"{_OFFICE}.presentationml.presentation",
    Format.EPUB: "application/epub+zip",
}
# Each has extract(file, limits) -> Iterator[str]; PDF, for one, loads a library of 4 MB.
_ROOM = "taskhub.kb.documents.formats"
_MODULES = {kind: f"{_ROOM}.{kind.value}" for kind in Format} | {
    Format.TEXT: f"{_ROOM}.text",
    Format.MARKDOWN: f"{_ROOM}.text",
}
# These have rows(file, limits) -> Iterator[list[str]] as well.
TABLES = frozenset({Format.CSV, Format.XLSX})


def format_of(name: str) -> Format | None:
    """The format that a file's extension names."""
    return EXTENSIONS.get(PurePath(name).suffix.lower())


def extract(file: BinaryIO, kind: Format, limits: Limits = UNCHANGED) -> Iterator[str]:
    """The text of a seekable file in blocks that end where a line or page does, in its order.

    Raises:
        BadDocument: while it is iterated: encrypted, damaged, not text, without any text, or over
            a limit, when its message begins with "limit".
    """
    read = cast(Callable[[BinaryIO, Limits], Iterator[str]], import_module(_MODULES[kind]).extract)
    anything = False
    for block in _in_time(read(file, limits), limits):
        anything = anything or not block.isspace()
        if block:
            yield block
    if not anything:
        hint = "; it may hold scanned pages" if kind is Format.PDF else ""
        raise BadDocument(Problem.NO_TEXT, f"no text in the {kind.value} file{hint}")


def rows(file: BinaryIO, kind: Format, limits: Limits = UNCHANGED) -> Iterator[list[str]]:
    """The rows of a table's file, headings first.

    Raises:
        BadDocument: as `extract` does, and for a format that has no rows.
    """
    if kind not in TABLES:
        known = " or ".join(sorted(TABLES))
        raise BadDocument(Problem.NOT_TABLE, f"questions and answers are read from {known} files")
    found = cast(Callable[..., Iterator[list[str]]], import_module(_MODULES[kind]).rows)
    yield from _in_time(found(file, limits), limits)


T = TypeVar("T")


def _in_time(found: Iterator[T], limits: Limits) -> Iterator[T]:
    """The same, until finding them took too long; what their taker does with them is not counted."""
    spent = 0.0
    while True:
        before = time.monotonic()
        try:
            one = next(found)
        except StopIteration:
            return
        spent += time.monotonic() - before
        if spent > limits.max_parse_seconds:
            raise over(
                f"reading must take at most {limits.max_parse_seconds:g} seconds; "
                "raise max_parse_seconds to take it"
            )
        yield one
