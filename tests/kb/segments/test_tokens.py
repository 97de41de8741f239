import time
from pathlib import Path

import pytest
from semantic_text_splitter import TextSplitter

from taskhub.kb.segments.tokens import TOKENIZER, count_tokens

DOCS = Path(__file__).parents[3] / "docs"


def fits(text: str, size: int) -> bool:
    return len(TextSplitter.from_tiktoken_model(TOKENIZER, size, trim=False).chunks(text)) <= 1


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        *((" hello" * n, n) for n in (1, 2, 77, 300, 501)),
        ("", 0),
        ("It's 12345 dollars!", 6),
        ("知识库系统支持多种文件格式。", 9),
        # A word of one character, which alone fits any size.
        ("1龘", 3),
        ("1ℵ", 3),
    ],
)
def test_tokens_are_those_of_the_vocabulary(text: str, tokens: int) -> None:
    assert count_tokens(text) == tokens
    assert not text or fits(text, tokens)
    assert tokens < 2 or not fits(text, tokens - 1)


def test_pages_of_real_text_are_counted_as_the_splitter_counts_them() -> None:
    text = "".join(path.read_text() for path in sorted(DOCS.glob("*.md")))[:60_000]
    pages = TextSplitter.from_tiktoken_model(TOKENIZER, 300).chunks(text)

    counted = [count_tokens(page) for page in pages]

    assert len(pages) > 30
    for page, tokens in zip(pages, counted, strict=True):
        assert fits(page, tokens + 1)
        assert not fits(page, tokens - 2)


def test_counting_a_text_costs_a_fraction_of_cutting_it() -> None:
    text = "".join(path.read_text() for path in sorted(DOCS.glob("*.md")))[:60_000]
    count_tokens(text)
    began = time.process_time()
    TextSplitter.from_tiktoken_model(TOKENIZER, 500).chunks(text)
    cutting = time.process_time() - began

    began = time.process_time()
    count_tokens(text)

    assert time.process_time() - began < cutting / 2
