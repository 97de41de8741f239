"""The text of a PDF, page by page."""

import re
import threading
from collections.abc import Iterator
from typing import Any, BinaryIO

import pypdfium2  # type: ignore[import-untyped]  # ships no types
import pypdfium2.raw  # type: ignore[import-untyped]  # ships no types

from taskhub.kb.documents.failures import BadDocument, Problem
from taskhub.kb.documents.limits import Limits

# PDFium is not thread-safe, in no part of it, not even for two documents.
_pdfium = threading.Lock()
# PDFium's marks for a hyphen at the end of a line.
_HYPHENS = re.compile("[\ufffe\x02]\r?\n?")


def extract(file: BinaryIO, limits: Limits) -> Iterator[str]:
    """One block a page; other threads may read their own PDF between two pages."""
    document = _opened(file)
    try:
        limits.check("max_pages", len(document), "pages")
        for number in range(len(document)):
            if text := _page(document, number):
                yield text
    finally:
        with _pdfium:
            document.close()


def _opened(file: BinaryIO) -> Any:
    with _pdfium:
        try:
            return pypdfium2.PdfDocument(file)
        except pypdfium2.PdfiumError as error:
            if error.err_code == pypdfium2.raw.FPDF_ERR_PASSWORD:
                raise BadDocument(
                    Problem.ENCRYPTED, "encrypted pdf; save a copy without a password"
                ) from error
            raise BadDocument(Problem.DAMAGED, "damaged pdf file, or no pdf at all") from error


def _page(document: Any, number: int) -> str:
    with _pdfium:
        try:
            page = document[number]
        except pypdfium2.PdfiumError as error:
            raise BadDocument(
                Problem.DAMAGED, f"damaged pdf file: page {number + 1} cannot be read"
            ) from error
        try:
            text_page = page.get_textpage()
            try:
                text = text_page.get_text_bounded()
            finally:
                text_page.close()
        finally:
            page.close()
    return _HYPHENS.sub("", text).replace("\r\n", "\n").rstrip() + "\n\n" if text.strip() else ""
