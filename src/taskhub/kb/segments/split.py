"""Cut text into segments of a bounded number of tokens, at the borders a reader would choose."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from semantic_text_splitter import MarkdownSplitter, TextSplitter

TOKENIZER = "gpt-4o"  # its vocabulary is inside the splitter's wheel
# The splitter's cost grows faster than the text's length: 3 s for 128,000 dots, measured 2026-11.
BLOCK_CHARACTERS = 100_000


@dataclass(frozen=True, slots=True)
class Piece:
    """The text of one segment and how many tokens it has."""

    text: str
    tokens: int


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
    kind = MarkdownSplitter if markdown else TextSplitter
    splitter = kind.from_tiktoken_model(TOKENIZER, tokens, overlap)
    taken = 0
    text = ""
    for block in blocks:
        for start in range(0, len(block), BLOCK_CHARACTERS):
            text += block[start : start + BLOCK_CHARACTERS]
            taken += len(block[start : start + BLOCK_CHARACTERS])
            if len(text) < BLOCK_CHARACTERS:
                continue
            found = splitter.chunk_indices(text)
            # The last piece waits: the text may go on in the middle of its sentence. But text of
            # which a piece is that long is no prose, and must not pile up.
            if found and len(found[-1][1]) < BLOCK_CHARACTERS:
                last = found.pop()[0]
                text = text[last:]
            else:
                text = ""
            yield from (_piece(chunk, tokens) for _, chunk in found)
            if progress is not None:
                progress(taken - len(text))
    yield from (_piece(chunk, tokens) for chunk in splitter.chunks(text))
    if progress is not None:
        progress(taken)


def _piece(text: str, limit: int) -> Piece:
    return Piece(text, count_tokens(text, limit))


def count_tokens(text: str, limit: int) -> int:
    """How many tokens the text has, `limit` if it has that many or more."""

    # The splitter counts but does not tell; a text fits a size when it comes back in one piece.
    def fits(size: int) -> bool:
        return len(TextSplitter.from_tiktoken_model(TOKENIZER, size, trim=False).chunks(text)) <= 1

    # Most pieces are nearly full, so the search widens from the top: 4 trials instead of 9.
    high, step = limit, 8
    while high > step and fits(high - step):
        high -= step
        step *= 4
    low = max(high - step + 1, 1)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if fits(middle) else (middle + 1, high)
    return low
