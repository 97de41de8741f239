"""How much one file may ask for, whoever made it."""

import dataclasses
from dataclasses import dataclass
from typing import Self

from taskhub.kb.documents.failures import BadDocument, Problem
from taskhub.settings.knowledge import KnowledgeSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Caps on one file; each is a setting of the same name.

    Attributes:
        max_pages: of a PDF, slides of a presentation, chapters of a book.
        max_cells: filled cells of a workbook; the rectangles around them may be four times that.
        max_elements: of one part's markup, because its tree is in memory.
        max_archive_entries: files inside a docx, xlsx, pptx or epub.
        max_uncompressed_bytes: all of an archive's files together; also the texts of all cells.
        max_compression_ratio: of an archive above 16 MiB; deflate itself ends at 1,032.
        max_parse_seconds: of the reader's own work, looked at between two blocks.
    """

    max_pages: int = 5_000
    max_cells: int = 500_000
    max_elements: int = 1_000_000
    max_archive_entries: int = 10_000
    max_uncompressed_bytes: int = 268_435_456
    max_compression_ratio: int = 200
    max_parse_seconds: float = 300.0

    @classmethod
    def of(cls, settings: KnowledgeSettings) -> Self:
        """The limits that the settings of a hub say."""
        return cls(**{f.name: getattr(settings, f.name) for f in dataclasses.fields(cls)})

    def check(self, name: str, got: float, what: str) -> None:
        """Refuse a file that has more of something than the limit of this name.

        Raises:
            BadDocument: it begins with "limit" and names the setting.
        """
        if got > (most := getattr(self, name)):
            raise over(f"{what} must be at most {most:,}, got {got:,}; raise {name} to take it")


def over(message: str) -> BadDocument:
    """The error of a file that asks for too much."""
    return BadDocument(Problem.LIMIT, f"limit reached: {message}")
