"""Rows of separated values, each with the line it begins at; one that cannot be read keeps no other."""

import csv
import io
from collections.abc import Iterator

from taskhub.kb.documents.formats.csv import MAX_VALUE_CHARACTERS


def numbered(text: str, separator: str) -> Iterator[tuple[int, list[str] | str]]:
    """Lines are counted from 1; a text in place of the row's values is why it cannot be read."""
    # The limit is the process's: without it the reason would depend on who has read a file before.
    csv.field_size_limit(MAX_VALUE_CHARACTERS)
    # Strict: else a quote that is never closed silently swallows all rows behind it.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            yield line, next(reader)
        except StopIteration:
            return
        except csv.Error as problem:  # this row's alone: the reader goes on behind it
            yield line, f"row could not be read: {problem}"
