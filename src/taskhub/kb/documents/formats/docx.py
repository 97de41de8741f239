"""Word documents: paragraphs and tables in the order of the page."""

from collections.abc import Iterator
from typing import Any, BinaryIO

from taskhub.kb.documents.archives import package
from taskhub.kb.documents.failures import BadDocument, Problem
from taskhub.kb.documents.limits import Limits

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_BREAKS = {f"{_W}tab": "\t", f"{_W}br": "\n", f"{_W}cr": "\n", f"{_W}noBreakHyphen": "-"}
# What may stand around paragraphs: content controls, and text that was moved or put in.
_AROUND = {
    f"{_W}{name}" for name in ("sdt", "sdtContent", "customXml", "ins", "moveTo", "smartTag")
}


def extract(file: BinaryIO, limits: Limits) -> Iterator[str]:
    """One block a paragraph or table; a row of a table is a line of its cells."""
    import docx
    from docx.opc.exceptions import OpcError
    from lxml.etree import LxmlError  # type: ignore[import-untyped]  # ships no types

    with package(file, limits, "docx") as checked:
        try:
            # Paragraph.text and iter_inner_content leave out content controls and what was put in
            # with changes tracked, so the library opens the file and the body is walked here.
            body = docx.Document(checked).element.body
        except (OpcError, LxmlError, KeyError, ValueError, AttributeError) as error:
            raise BadDocument(Problem.DAMAGED, f"damaged docx file: {error}") from error
        for block in _blocks(body):
            text = _table(block) if block.tag == f"{_W}tbl" else _paragraph(block)
            if text.strip():
                yield text.rstrip() + "\n\n"


def _blocks(around: Any) -> Iterator[Any]:
    for child in around.iterchildren():
        if child.tag in (f"{_W}p", f"{_W}tbl"):
            yield child
        elif child.tag in _AROUND:
            yield from _blocks(child)


def _table(table: Any) -> str:
    rows = []
    for row in table.iterchildren(f"{_W}tr"):
        cells = [
            " ".join(" ".join(map(_paragraph, cell.iter(f"{_W}p"))).split())
            for cell in row.iter(f"{_W}tc")
            if cell.getparent() is row or cell.getparent().tag in _AROUND
        ]
        if any(cells):
            rows.append(" | ".join(cells))
    return "\n".join(rows)


def _paragraph(paragraph: Any) -> str:
    """The text of a paragraph and of the boxes in it; what was deleted is not in w:t."""
    bits: list[str] = []
    waiting = [paragraph]
    while waiting:
        element = waiting.pop()
        if element.tag == _FALLBACK:  # the same box once more, for old readers
            continue
        if element.tag == f"{_W}t":
            bits.append(element.text or "")
        elif element.tag in _BREAKS:
            bits.append(_BREAKS[element.tag])
        elif element.tag == f"{_W}p" and bits:
            bits.append("\n")
        waiting.extend(reversed(element))
    return "".join(bits)
