"""Plain text and Markdown, in any encoding that can be told."""

import codecs
from collections.abc import Iterator
from typing import BinaryIO

from taskhub.kb.documents.encoding import encoding_of
from taskhub.kb.documents.limits import Limits

READ_BYTES = 1 << 20


def extract(file: BinaryIO, _: Limits) -> Iterator[str]:
    """The text in blocks of about 1 MiB, each ending after a line where the file has lines."""
    encoding = encoding_of(file)
    file.seek(0)
    # Bytes that are wrong in an encoding that fits the rest become U+FFFD, not a refusal.
    decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
    rest = ""
    while chunk := file.read(READ_BYTES):
        text = rest + decoder.decode(chunk)
        cut = text.rfind("\n") + 1 or (len(text) if len(text) >= 2 * READ_BYTES else 0)
        if cut:
            yield text[:cut]
        rest = text[cut:]
    if rest := rest + decoder.decode(b"", final=True):
        yield rest
