"""Presentations: slide by slide, with what the speaker notes."""

from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

from taskhub.kb.documents.archives import package
from taskhub.kb.documents.failures import BadDocument, Problem
from taskhub.kb.documents.limits import Limits


def extract(file: BinaryIO, limits: Limits) -> Iterator[str]:
    """One block a slide: its texts, its tables a line a row, then its notes."""
    import pptx
    from lxml.etree import LxmlError  # type: ignore[import-untyped]  # ships no types
    from pptx.exc import PythonPptxError

    with package(file, limits, "pptx") as checked:
        try:
            slides = pptx.Presentation(checked).slides
            limits.check("max_pages", len(slides), "slides")
            for slide in slides:
                if text := _slide(slide):
                    yield text + "\n\n"
        except (PythonPptxError, LxmlError, KeyError, AttributeError, TypeError) as error:
            raise BadDocument(Problem.DAMAGED, f"damaged pptx file: {error}") from error


def _slide(slide: Any) -> str:
    texts = list(_texts(slide.shapes))
    if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
        texts.append(slide.notes_slide.notes_text_frame.text)
    return "\n\n".join(text.replace("\v", "\n").strip() for text in texts if text.strip())


def _texts(shapes: Iterable[Any]) -> Iterator[str]:
    for shape in shapes:
        if hasattr(shape, "shapes"):  # a group
            yield from _texts(shape.shapes)
        elif getattr(shape, "has_table", False):
            yield "\n".join(" | ".join(_cells(row)) for row in shape.table.rows)
        elif shape.has_text_frame:
            yield shape.text_frame.text


def _cells(row: Any) -> list[str]:
    return [" ".join(cell.text.split()) for cell in row.cells if not cell.is_spanned]
