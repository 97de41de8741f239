"""Text on its way between two stages, on disk so that its length costs no memory."""

import tempfile
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self

BLOCK_CHARACTERS = 1 << 18
MEMORY_BYTES = 1 << 22


class Spool:
    """A text written once in blocks and read back in blocks; in a file when it is above 4 MiB."""

    def __init__(self, blocks: Iterable[str]) -> None:
        # Lone surrogates must get as far as to the stage that takes them out.
        self._file = tempfile.SpooledTemporaryFile(  # noqa: SIM115 - closed by __exit__
            MEMORY_BYTES, "w+", encoding="utf-8", errors="surrogatepass", newline=""
        )
        self.characters = 0
        try:
            for block in blocks:
                self.characters += len(block)
                self._file.write(block)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()

    def blocks(self) -> Iterator[str]:
        """The text from its start, in blocks that end with a line unless lines are very long."""
        self._file.seek(0)
        while block := self._file.read(BLOCK_CHARACTERS):
            yield block + self._file.readline(BLOCK_CHARACTERS)
