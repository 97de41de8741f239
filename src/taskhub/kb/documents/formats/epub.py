"""Books: the chapters in the order in which they are read."""

import posixpath
import re
import zipfile
from collections.abc import Iterator
from typing import Any, BinaryIO
from urllib.parse import unquote, urlsplit

from taskhub.kb.documents.archives import markup_part, opened, part
from taskhub.kb.documents.failures import BadDocument, Problem
from taskhub.kb.documents.formats.html import text_of
from taskhub.kb.documents.limits import Limits, over

CONTAINER = "META-INF/container.xml"
_CHAPTERS = {"application/xhtml+xml", "text/html", "application/x-dtbook+xml"}
_ENTITY = re.compile(rb"<!ENTITY", re.IGNORECASE)


def extract(file: BinaryIO, limits: Limits) -> Iterator[str]:
    """One block a chapter, in the order of the book's spine."""
    with opened(file, limits, "epub") as archive:
        if "META-INF/encryption.xml" in archive.namelist() and _is_locked(archive, limits):
            raise BadDocument(Problem.ENCRYPTED, "encrypted epub; it needs a copy without DRM")
        chapters = _chapters(archive, limits)
        limits.check("max_pages", len(chapters), "chapters")
        for name in chapters:
            content = part(archive, name, "epub")
            # The reader of HTML does not expand them; a book that declares them means harm.
            if _ENTITY.search(content):
                raise over(f"markup must declare no entities, {name[:80]!r} does")
            if text := text_of(content, limits):
                yield text + "\n\n"


def _chapters(archive: zipfile.ZipFile, limits: Limits) -> list[str]:
    from lxml import etree  # type: ignore[import-untyped]  # ships no types

    def read(name: str) -> Any:
        content = markup_part(archive, name, "epub", limits)
        parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=False)
        try:
            return etree.fromstring(content, parser)
        except etree.XMLSyntaxError as error:
            raise BadDocument(Problem.DAMAGED, f"damaged epub file: {error}") from error

    listed = read(CONTAINER).xpath("string(//*[local-name()='rootfile']/@full-path)")
    book = read(str(listed))
    items = {
        str(item.get("id")): str(item.get("href", ""))
        for item in book.iter("{*}item")
        if item.get("media-type") in _CHAPTERS
    }
    folder = posixpath.dirname(str(listed))
    order = [str(itemref.get("idref")) for itemref in book.iter("{*}itemref")]
    return [_inside(folder, items[chapter]) for chapter in order if chapter in items]


def _inside(folder: str, href: str) -> str:
    name = posixpath.normpath(posixpath.join(folder, unquote(urlsplit(href).path)))
    if name.startswith(("/", "../")):
        raise over(f"chapters must lie inside the book, got {href[:80]!r}")
    return name


def _is_locked(archive: zipfile.ZipFile, limits: Limits) -> bool:
    """Fonts may be scrambled in a book that anybody can read."""
    content = markup_part(archive, "META-INF/encryption.xml", "epub", limits)
    return b"html" in content.lower()
