"""Cut text into segments of a bounded number of tokens, at the borders a reader would choose."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from semantic_text_splitter import MarkdownSplitter, TextSplitter

from taskhub.kb.segments.tokens import TOKENIZER, count_tokens

# The splitter's cost grows faster than the text's length: 3 s for 128,000 dots, measured 2026-11.
BLOCK_CHARACTERS = 100_000


# What belongs to the sentence before: a full stop that an overlap or a separator left behind.
_LEADING = re.compile(
    r"(?:\s|[。，；：！？、．…）】》」』”’]|[.,;:!?)\]]+(?=[\s。，；：！？、]|$))+"
)


@dataclass(frozen=True, slots=True)
class Piece:
    """The text of one segment, and what comes with it.

    Attributes:
        tokens: how many it has.
        answer: what is told for it, where the text is a question.
        children: the smaller pieces by which it is found, in its order.
    """

    text: str
    tokens: int
    answer: str | None = None
    children: tuple["Piece", ...] = ()


class Splitter:
    """Cuts a text that comes in bits; holds about 100,000 characters of it."""

    def __init__(self, tokens: int, overlap: int = 0, *, markdown: bool = False) -> None:
        kind = MarkdownSplitter if markdown else TextSplitter
        self._splitter = kind.from_tiktoken_model(TOKENIZER, tokens, overlap)
        self._tokens = tokens
        self._text = ""

    @property
    def waiting(self) -> int:
        """How many characters are not cut yet."""
        return len(self._text)

    def feed(self, text: str) -> Iterator[Piece]:
        """The pieces that are sure now; where this text ends makes no border."""
        for start in range(0, len(text), BLOCK_CHARACTERS):
            self._text += text[start : start + BLOCK_CHARACTERS]
            if len(self._text) < BLOCK_CHARACTERS:
                continue
            found = self._splitter.chunk_indices(self._text)
            # The last piece waits: the text may go on in the middle of its sentence. But text of
            # which a piece is that long is no prose, and must not pile up.
            if found and len(found[-1][1]) < BLOCK_CHARACTERS:
                last = found.pop()[0]
                self._text = self._text[last:]
            else:
                self._text = ""
            yield from self._pieces(chunk for _, chunk in found)

    def end(self) -> Iterator[Piece]:
        """The pieces of what waits; a text that is fed from now on is another one."""
        text, self._text = self._text, ""
        if text and not text.isspace():
            yield from self._pieces(self._splitter.chunks(text))

    def _pieces(self, chunks: Iterable[str]) -> Iterator[Piece]:
        for chunk in chunks:
            text = chunk
            if found := _LEADING.match(chunk):
                text = chunk[found.end() :]
            if text:
                yield Piece(text, min(count_tokens(text), self._tokens))


def split(
    blocks: Iterable[str],
    *,
    tokens: int = 500,
    overlap: int = 50,
    markdown: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Iterator[Piece]:
    """Pieces of at most `tokens` tokens, in order; neighbours share up to `overlap` of them.

    A sentence, English or Chinese, is kept whole unless it alone is longer than `tokens`. Where
    one block ends and the next begins makes no border. Holds one block and some 100,000
    characters in memory. `progress` is told now and then how many characters are done.
    """
    splitter = Splitter(tokens, overlap, markdown=markdown)
    taken = 0
    for block in blocks:
        for start in range(0, len(block), BLOCK_CHARACTERS):
            bit = block[start : start + BLOCK_CHARACTERS]
            taken += len(bit)
            yield from splitter.feed(bit)
            if progress is not None:
                progress(taken - splitter.waiting)
    yield from splitter.end()
    if progress is not None:
        progress(taken)
