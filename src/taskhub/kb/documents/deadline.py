"""How long the reading of one file may take."""

import time
from collections.abc import Iterator

from taskhub.kb.documents.failures import BadDocument, Problem


def within(blocks: Iterator[str], seconds: float, setting: str) -> Iterator[str]:
    """The blocks, as long as they all come in time; the consumer's own time is not counted.

    It looks between two blocks. A reader that never gives one is stopped by its process.

    Raises:
        BadDocument: they did not.
    """
    used = 0.0
    while True:
        began = time.monotonic()
        block = next(blocks, None)
        used += time.monotonic() - began
        if used > seconds:
            raise BadDocument(
                Problem.LIMIT,
                f"limit {setting}: reading the file took more than {seconds:g} s; raise {setting} to take it",
            )
        if block is None:
            return
        yield block
