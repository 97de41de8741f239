import itertools
import re
import sys
import tracemalloc
from collections.abc import Iterator

import pytest
from semantic_text_splitter import TextSplitter

from taskhub.kb.segments.split import BLOCK_CHARACTERS, Piece, Splitter, split

ENGLISH = "The quick brown fox jumps over the lazy dog. It was a bright cold day in April! "
CHINESE = "知识库系统支持多种文件格式。我们把文本切成段落，然后建立索引！这样搜索会更快吗？"


@pytest.mark.parametrize("sentences", [ENGLISH, CHINESE])
def test_sentences_are_kept_whole(sentences: str) -> None:
    pieces = list(split([sentences * 300], tokens=100, overlap=20))

    assert len(pieces) > 20
    assert all(piece.text[-1] in ".!。！？" for piece in pieces)
    assert all(piece.text[0] in "TI知我这" for piece in pieces)


def test_no_piece_has_more_tokens_than_asked_and_each_says_how_many() -> None:
    pieces = list(split([ENGLISH * 50, CHINESE * 50, "x" * 3000], tokens=60, overlap=10))

    assert all(1 <= piece.tokens <= 60 for piece in pieces)
    assert sum(piece.tokens for piece in pieces) > 0.8 * 60 * (len(pieces) - 3)


def test_neighbours_overlap() -> None:
    text = " ".join(f"Sentence number {n} stands here." for n in range(200))

    pieces = list(split([text], tokens=60, overlap=20))

    for before, after in itertools.pairwise(pieces):
        assert after.text.split(".")[0] in before.text


def test_the_border_of_two_blocks_is_no_border_of_pieces() -> None:
    text = "\n".join(f"Line {n} of the long text goes on until here." for n in range(20_000))
    assert len(text) > 5 * BLOCK_CHARACTERS
    whole = TextSplitter.from_tiktoken_model("gpt-4o", 200).chunks(text[:300_000])

    pieces = list(
        split([text[:99_990], text[99_990:100_007], text[100_007:]], tokens=200, overlap=0)
    )

    assert [piece.text for piece in pieces[: len(whole) - 1]] == whole[:-1]
    assert re.sub(r"\s", "", text) == re.sub(r"\s", "", "".join(piece.text for piece in pieces))


def test_markdown_is_cut_at_its_headings() -> None:
    text = "".join(f"# Chapter {n}\n\n{ENGLISH * 3}\n\n" for n in range(20))

    pieces = list(split([text], tokens=90, overlap=0, markdown=True))

    assert all(piece.text.startswith("# Chapter") for piece in pieces)
    assert len(pieces) == 20


def test_text_without_any_border_ends_in_bounded_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    # The time for one endless word grows with the square of the block: 8 s of CPU for a whole one.
    monkeypatch.setattr(sys.modules[split.__module__], "BLOCK_CHARACTERS", 10_000)
    for character in (".", "a", " ", "\n"):
        splitter = Splitter(500)
        waiting = []
        pieces: list[Piece] = []
        for _ in range(9):
            pieces += splitter.feed(character * 2_500)
            waiting.append(splitter.waiting)
        pieces += splitter.end()
        assert all(piece.tokens <= 500 for piece in pieces)
        # Nothing but the last piece, which is longer than prose has any, waits for more.
        assert max(waiting) < 10_000


def test_no_text_has_no_piece() -> None:
    assert list(split([])) == list(split([""])) == list(split(["\n \n"])) == []


def test_a_long_text_is_split_in_bounded_memory_and_tells_how_far_it_is() -> None:
    line = ENGLISH * 4 + "\n"
    lines_in_a_block = 262_144 // len(line)
    told: list[int] = []

    def blocks() -> Iterator[str]:
        for _ in range(6_100_000 // (lines_in_a_block * len(line))):
            yield line * lines_in_a_block

    list(split([line], tokens=4000))  # what is loaded once is not of the text
    tracemalloc.start()
    count = sum(
        isinstance(piece, Piece) for piece in split(blocks(), tokens=4000, progress=told.append)
    )
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert count > 300
    assert peak < 3_000_000
    assert told == sorted(told)
    assert told[-1] > 5_900_000
    assert len(told) > 40
