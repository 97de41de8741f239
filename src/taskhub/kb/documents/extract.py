"""Text out of files, one format a module, loaded when the first such file comes."""

import enum
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import PurePath
from typing import BinaryIO, cast

from taskhub.kb.documents.failures import BadDocument, Problem


class Format(enum.StrEnum):
    """What can be read."""

    TEXT = "txt"
    MARKDOWN = "md"
    HTML = "html"
    PDF = "pdf"


EXTENSIONS = {
    ".txt": Format.TEXT,
    ".text": Format.TEXT,
    ".md": Format.MARKDOWN,
    ".markdown": Format.MARKDOWN,
    ".html": Format.HTML,
    ".htm": Format.HTML,
    ".pdf": Format.PDF,
}
MEDIA_TYPES = {
    Format.TEXT: "text/plain",
    Format.MARKDOWN: "text/markdown",
    Format.HTML: "text/html",
    Format.PDF: "application/pdf",
}
# Each has extract(file) -> Iterator[str]; PDF, for one, loads a library of 4 MB.
_MODULES = {
    Format.TEXT: "taskhub.kb.documents.formats.text",
    Format.MARKDOWN: "taskhub.kb.documents.formats.text",
    Format.HTML: "taskhub.kb.documents.formats.html",
    Format.PDF: "taskhub.kb.documents.formats.pdf",
}


def format_of(name: str) -> Format | None:
    """The format that a file's extension names."""
    return EXTENSIONS.get(PurePath(name).suffix.lower())


def extract(file: BinaryIO, kind: Format) -> Iterator[str]:
    """The text of a seekable file in blocks that end where a line or page does, in its order.

    Raises:
        BadDocument: while it is iterated: encrypted, damaged, not text, or without any text.
    """
    read = cast(Callable[[BinaryIO], Iterator[str]], import_module(_MODULES[kind]).extract)
    anything = False
    for block in read(file):
        anything = anything or not block.isspace()
        if block:
            yield block
    if not anything:
        hint = "; it may hold scanned pages" if kind is Format.PDF else ""
        raise BadDocument(Problem.NO_TEXT, f"no text in the {kind.value} file{hint}")
