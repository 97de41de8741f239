import io
from collections.abc import Iterable

import pytest

from taskhub.kb.documents.extract import Format
from taskhub.kb.documents.failures import BadDocument
from taskhub.kb.documents.read import read
from taskhub.kb.segments.cut import FULL_DOCUMENT_TOKENS, cut
from taskhub.kb.segments.rules import Mode, Parent, ProcessRule
from taskhub.kb.segments.split import Piece, split

ENGLISH = "The quick brown fox jumps over the lazy dog. It was a bright cold day in April! "
CHINESE = "知识库系统支持多种文件格式。我们把文本切成段落，然后建立索引！这样搜索会更快吗？"


def texts(pieces: Iterable[Piece]) -> list[str]:
    return [piece.text for piece in pieces]


def test_automatic_cuts_as_a_reader_would() -> None:
    rule = ProcessRule(tokens=100, overlap_tokens=20)

    pieces = list(cut([ENGLISH * 40, CHINESE * 40], rule))

    assert pieces == list(split([ENGLISH * 40, CHINESE * 40], tokens=100, overlap=20))
    assert len(pieces) > 10


@pytest.mark.parametrize("bits", [1, 2, 5, 1000])
def test_a_separator_cuts_before_all_else_wherever_the_blocks_end(bits: int) -> None:
    text = f"one##two\n\nthree##{ENGLISH * 20}## ##last"
    blocks = [text[start : start + bits] for start in range(0, len(text), bits)]
    rule = ProcessRule(mode=Mode.CUSTOM, separator="##", tokens=60, overlap_tokens=0)

    pieces = list(cut(blocks, rule))

    assert texts(pieces)[:2] == ["one", "two\n\nthree"]
    assert texts(pieces)[-1] == "last"
    assert len(pieces) > 6
    assert all(0 < piece.tokens <= 60 for piece in pieces)
    assert all(piece.text[-1] in ".!" for piece in pieces[2:-1])


def test_a_piece_does_not_begin_with_what_ended_the_sentence_before() -> None:
    rule = ProcessRule(mode=Mode.CUSTOM, separator="||")

    pieces = cut(["end||。下一句||, and on||.NET stays||- item||...||）。||(this)"], rule)

    assert texts(pieces) == ["end", "下一句", "and on", ".NET stays", "- item", "(this)"]


def test_parents_have_their_children_in_order_and_nothing_is_lost() -> None:
    rule = ProcessRule(
        mode=Mode.PARENT_CHILD, tokens=400, child_tokens=50, overlap_tokens=100, separator="\n\n"
    )

    parents = list(cut([f"{ENGLISH * 12}\n\n{CHINESE * 8}\n\nshort"], rule))

    assert len(parents) == 3
    assert [len(parent.children) > 1 for parent in parents] == [True, True, False]
    assert parents[2].children == (Piece("short", 1),)
    for parent in parents:
        joined = "".join(child.text for child in parent.children)
        assert "".join(joined.split()) == "".join(parent.text.split())
        assert all(child.tokens <= 50 for child in parent.children)
        assert all(child.text[-1] in ".!。！？" for child in parent.children[:-1])


def test_a_whole_document_is_one_parent_until_it_is_too_long_for_a_prompt() -> None:
    rule = ProcessRule(mode=Mode.PARENT_CHILD, parent=Parent.FULL_DOCUMENT, child_tokens=100)

    (short,) = cut(["one.\n\n", "two."], rule)
    long = list(cut([ENGLISH * 1200], rule))

    assert short.text == "one.\n\ntwo."
    assert len(long) == 3
    assert all(FULL_DOCUMENT_TOKENS / 4 < piece.tokens <= FULL_DOCUMENT_TOKENS for piece in long)


def answered(content: str, **rule: bool) -> tuple[list[Piece], list[str]]:
    left_out: list[str] = []
    asked = ProcessRule(mode=Mode.QA, **rule)  # type: ignore[arg-type]
    blocks = list(read(io.BytesIO(content.encode()), Format.CSV, asked))
    # However the text was cut on its way.
    again = ["".join(blocks)[start : start + 7] for start in range(0, len("".join(blocks)), 7)]
    return list(cut(again, asked, left_out=left_out.append)), left_out


def test_a_row_of_question_and_answer_is_a_piece_and_keeps_its_lines() -> None:
    pieces, left_out = answered('Answer,Question\n"Fish.\nAnd crabs: <|x|>",What do otters eat?\n')

    assert pieces == [Piece("What do otters eat?", 6, answer="Fish.\nAnd crabs: <x>")]
    assert left_out == []


def test_two_columns_need_no_headings_and_bad_rows_are_named_while_others_go_on() -> None:
    pieces, left_out = answered(
        f"水獺吃什麼？,魚\nno answer,\n,no question\n{'q' * 2001},long\nlast,one\n"
    )

    assert [(piece.text, piece.answer) for piece in pieces] == [
        ("水獺吃什麼？", "魚"),
        ("last", "one"),
    ]
    assert left_out == [
        "row 2: no answer",
        "row 3: no question",
        "row 4: the question must be at most 2,000 characters, got 2,001",
    ]


def test_answers_are_cleaned_by_the_rule_before_they_are_rows() -> None:
    pieces, _ = answered(
        'question,answer\nwhere?,"see https://a.example/x\nor  ask jo@mail.example"\n',
        remove_urls_emails=True,
        remove_extra_spaces=True,
    )

    assert pieces[0].answer == "see \nor ask"


def test_what_has_no_questions_says_what_it_needs() -> None:
    with pytest.raises(
        BadDocument, match=r"need columns named question and answer, .* got a, b, c"
    ):
        answered("a,b,c\n1,2,3\n")
    with pytest.raises(BadDocument, match="questions and answers are read from csv or xlsx files"):
        list(read(io.BytesIO(b"x"), Format.TEXT, ProcessRule(mode=Mode.QA)))
