"""The readable text of a page, without its scripts, styles and navigation."""

import io
import re
from collections.abc import Iterator
from typing import BinaryIO

from selectolax.lexbor import LexborHTMLParser

from taskhub.kb.documents.encoding import BOMS, encoding_of
from taskhub.kb.documents.failures import BadDocument, Problem
from taskhub.kb.documents.limits import Limits

LEFT_OUT = (
    "script, style, noscript, template, nav, aside, footer, form, iframe, svg, head > *:not(title)"
)
BLOCKS = (
    "address, article, blockquote, br, dd, div, dl, dt, figcaption, figure, h1, h2, h3, h4, h5, h6, "
    "header, hr, li, main, ol, p, pre, section, table, td, th, title, tr, ul"
)
# No page holds U+2029 between its words: it marks where a block begins and ends.
_BREAK = "\u2029"
_DECLARED = re.compile(
    rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([a-z0-9_\-]{2,40})", re.IGNORECASE
)


def extract(file: BinaryIO, limits: Limits) -> Iterator[str]:
    """The page's text as one block, paragraphs apart by an empty line."""
    file.seek(0)
    yield text_of(file.read(), limits)


def text_of(content: bytes, limits: Limits) -> str:
    """The text that a page shows, paragraphs apart by an empty line.

    Raises:
        BadDocument: it has no element, or too many for its tree to be held.
    """
    page = content.decode(_encoding(io.BytesIO(content)), "replace")
    limits.check("max_elements", page.count("<"), "elements of one page")
    tree = LexborHTMLParser(page.replace(_BREAK, "\n"))
    for node in tree.css(LEFT_OUT):
        node.decompose()
    for node in tree.css(BLOCKS):
        node.insert_before(_BREAK)
        node.insert_after(_BREAK)
    if tree.root is None:
        raise BadDocument(Problem.DAMAGED, "damaged html file: it has no element")
    text = re.sub(r"[ \t\r\n\f\xa0]+", " ", tree.root.text())
    return re.sub(rf" ?{_BREAK}[ {_BREAK}]*", "\n\n", text).strip()


def _encoding(file: BinaryIO) -> str:
    file.seek(0)
    head = file.read(4096)
    declared = _DECLARED.search(head)
    if declared is not None and not head.startswith(tuple(mark for mark, _ in BOMS)):
        try:
            "".encode(name := declared[1].decode("ascii"))
        except LookupError:
            return encoding_of(file)
        # Pages that declare gb2312 or latin-1 mean the wider sets, as browsers read them.
        return {"gb2312": "gb18030", "gbk": "gb18030", "iso-8859-1": "cp1252"}.get(
            name.lower(), name
        )
    return encoding_of(file)
