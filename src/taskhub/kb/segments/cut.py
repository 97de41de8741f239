"""Cut a clean text into pieces by a rule."""

import re
from collections.abc import Callable, Iterable, Iterator

from taskhub.kb.documents.failures import BadDocument, Problem
from taskhub.kb.documents.rows import unpacked
from taskhub.kb.segments.rules import Mode, Parent, ProcessRule
from taskhub.kb.segments.split import Piece, Splitter
from taskhub.kb.segments.tokens import count_tokens

# A parent's whole text is one row and goes to one prompt; a longer document has several.
FULL_DOCUMENT_TOKENS = 10_000
MAX_QUESTION_CHARACTERS = 2_000
MAX_ANSWER_CHARACTERS = 10_000
QUESTIONS = ("question", "questions", "q", "问题", "提问")
ANSWERS = ("answer", "answers", "a", "答案", "回答")

LeftOut = Callable[[str], None]


def cut(
    blocks: Iterable[str],
    rule: ProcessRule,
    *,
    markdown: bool = False,
    left_out: LeftOut | None = None,
) -> Iterator[Piece]:
    """Pieces in the text's order, none blank; sentences, English or Chinese, stay whole that fit.

    Holds some 100,000 characters of the text, or one parent, in memory.

    Args:
        markdown: also cut at headings and keep lists and code together.
        left_out: told of each row of questions and answers that cannot be used, and why.

    Raises:
        BadDocument: for questions and answers: no column for the one or the other.
    """
    if rule.mode is Mode.AUTOMATIC:
        splitter = Splitter(rule.tokens, rule.overlap_tokens, markdown=markdown)
        for block in blocks:
            yield from splitter.feed(block)
        yield from splitter.end()
    elif rule.mode is Mode.CUSTOM:
        yield from _at_separator(blocks, rule, markdown)
    elif rule.mode is Mode.PARENT_CHILD:
        yield from _parents(blocks, rule, markdown)
    else:
        yield from _answered(unpacked(blocks), left_out or (lambda _: None))


def _at_separator(blocks: Iterable[str], rule: ProcessRule, markdown: bool) -> Iterator[Piece]:
    overlap = 0 if rule.mode is Mode.PARENT_CHILD else rule.overlap_tokens
    splitter = Splitter(rule.tokens, overlap, markdown=markdown)
    rest = ""
    for block in blocks:
        *whole, rest = (rest + block).split(rule.separator)
        for text in whole:
            yield from splitter.feed(text)
            yield from splitter.end()
        # A separator may stand across the border of two blocks.
        sure = max(0, len(rest) - len(rule.separator) + 1)
        yield from splitter.feed(rest[:sure])
        rest = rest[sure:]
    yield from splitter.feed(rest)
    yield from splitter.end()


def _parents(blocks: Iterable[str], rule: ProcessRule, markdown: bool) -> Iterator[Piece]:
    if rule.parent is Parent.PARAGRAPH:
        parents = _at_separator(blocks, rule, markdown)
    else:
        whole = Splitter(FULL_DOCUMENT_TOKENS, 0, markdown=markdown)
        parents = (piece for block in [*blocks, None] for piece in _fed(whole, block))
    children = Splitter(rule.child_tokens, 0, markdown=markdown)
    for parent in parents:
        found = (*children.feed(parent.text), *children.end())
        yield Piece(parent.text, parent.tokens, children=found)


def _fed(splitter: Splitter, block: str | None) -> Iterator[Piece]:
    yield from splitter.end() if block is None else splitter.feed(block)


def _answered(rows: Iterator[list[str]], left_out: LeftOut) -> Iterator[Piece]:
    question, answer, first = _columns(next(rows, []))
    for number, row in enumerate([first, *rows] if first else rows, 1 if first else 2):
        if not any(row):
            continue
        asked = row[question].strip() if question < len(row) else ""
        told = row[answer].strip() if answer < len(row) else ""
        if reason := _refusal(asked, told):
            left_out(f"row {number}: {reason}")
        else:
            yield Piece(asked, count_tokens(asked), answer=told)


def _columns(first: list[str]) -> tuple[int, int, list[str] | None]:
    """Where questions and answers stand, and the row again if it is no row of headings."""
    names = [re.sub(r"\W", "", name).lower() for name in first]
    asked = next((n for n, name in enumerate(names) if name in QUESTIONS), None)
    told = next((n for n, name in enumerate(names) if name in ANSWERS), None)
    if asked is not None and told is not None:
        return asked, told, None
    if asked is None and told is None and len(first) == 2:
        return 0, 1, first
    raise BadDocument(
        Problem.NOT_TABLE,
        "questions and answers need columns named question and answer, or two columns without "
        f"names, got {', '.join(first)[:200] or 'no row'}",
    )


def _refusal(question: str, answer: str) -> str | None:
    if not question or not answer:
        return "no question" if not question else "no answer"
    for name, text, most in (
        ("question", question, MAX_QUESTION_CHARACTERS),
        ("answer", answer, MAX_ANSWER_CHARACTERS),
    ):
        if len(text) > most:
            return f"the {name} must be at most {most:,} characters, got {len(text):,}"
    return None
