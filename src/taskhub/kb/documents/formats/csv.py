"""Tables of separated values, in any encoding and with any usual separator."""

import codecs
import csv
import io
from collections import Counter
from collections.abc import Iterator
from typing import BinaryIO

from taskhub.kb.documents.encoding import encoding_of
from taskhub.kb.documents.failures import BadDocument, Problem
from taskhub.kb.documents.limits import Limits, over
from taskhub.kb.documents.rows import lines

SEPARATORS = (",", ";", "\t", "|")
SAMPLE_CHARACTERS = 1 << 15
# A quote that nobody closes would make one value of the rest of the file.
MAX_VALUE_CHARACTERS = 1_000_000


def extract(file: BinaryIO, limits: Limits) -> Iterator[str]:
    """Blocks of lines, one a row, each value with its heading."""
    return lines(rows(file, limits))


def rows(file: BinaryIO, _: Limits) -> Iterator[list[str]]:
    """The values of each row, headings first.

    Raises:
        BadDocument: no text, or a value above a million characters.
    """
    encoding = encoding_of(file)
    file.seek(0)
    separator = _separator(codecs.getreader(encoding)(file, "replace").read(SAMPLE_CHARACTERS))
    file.seek(0)
    csv.field_size_limit(MAX_VALUE_CHARACTERS)
    wrapped = io.TextIOWrapper(file, encoding, errors="replace", newline="")
    reader = csv.reader(_without_nul(wrapped), delimiter=separator)
    try:
        yield from reader
    except csv.Error as error:
        if "field larger" in str(error):
            raise over(
                f"a value must be at most {MAX_VALUE_CHARACTERS:,} characters, "
                f"got more near line {reader.line_num}; a quote may be open"
            ) from error
        raise BadDocument(
            Problem.DAMAGED, f"damaged csv file near line {reader.line_num}: {error}"
        ) from error
    finally:
        wrapped.detach()  # the file is the caller's to close


def _without_nul(text: io.TextIOWrapper) -> Iterator[str]:
    # Lines are read in bounded bits: a file without any end of line is one line of its length.
    while line := text.readline(MAX_VALUE_CHARACTERS):
        yield line.replace("\0", "")


def _separator(sample: str) -> str:
    """The separator that gives the most rows of one same width; a comma if none gives two columns."""
    best, most = ",", 0
    for separator in SEPARATORS:
        widths: Counter[int] = Counter()
        try:
            for row in csv.reader(
                io.StringIO(sample.replace("\0", ""), newline=""), delimiter=separator
            ):
                widths[len(row)] += 1
        except csv.Error:
            continue
        del widths[0], widths[1]
        if widths:
            (width, count), *_ = widths.most_common(1)
            if count * 1000 + width > most:
                best, most = separator, count * 1000 + width
    return best
