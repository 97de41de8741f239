"""Texts that are longer than anybody writes."""

import tracemalloc
from collections.abc import Iterator

from taskhub.kb.segments.split import split
from taskhub.kb.segments.tokens import count_tokens


def test_thirty_megabytes_are_split_in_the_memory_of_six() -> None:
    line = "The quick brown fox jumps over the lazy dog. " * 8 + "\n"
    lines_in_a_block = 262_144 // len(line)

    def blocks() -> Iterator[str]:
        for _ in range(31_000_000 // (lines_in_a_block * len(line))):
            yield line * lines_in_a_block

    count_tokens("the pattern of words is made once for the process, 4 MB, whatever the text")
    tracemalloc.start()
    count = sum(1 for _ in split(blocks(), tokens=4000))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert count > 1500
    assert peak < 3_000_000


def test_a_quarter_million_characters_without_a_border_end_in_bounded_pieces() -> None:
    for character in (".", "a", " ", "\n"):
        assert all(piece.tokens <= 500 for piece in split([character * 250_000]))
