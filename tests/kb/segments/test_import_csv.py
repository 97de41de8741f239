import pytest

from taskhub.kb.segments.import_csv import BadImport, BadRow, Row, SheetLimits, read

LIMITS = SheetLimits()


def rows(content: str, **chosen: bool) -> list[tuple[int, str, str | None]]:
    return [(r.line, r.text, r.answer) for r in read(content.encode(), LIMITS, **chosen).rows]


def test_each_row_is_a_segment_with_the_line_it_begins_at() -> None:
    assert rows('one\n\n"two,\nthree"\nfour\n') == [
        (1, "one", None),
        (3, "two,\nthree", None),
        (5, "four", None),
    ]


@pytest.mark.parametrize("title", ["text", "Content", "内容", '"segment"'])
def test_a_row_of_titles_is_no_segment(title: str) -> None:
    assert rows(f"{title},keywords\none,a\n") == [(2, "one", None)]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_questions_and_answers_may_be_separated_in_any_usual_way(delimiter: str) -> None:
    content = f"question{delimiter}answer\nWhere is it?{delimiter}In the hall.\n"

    assert rows(content, with_answers=True) == [(2, "Where is it?", "In the hall.")]
    assert rows(content.split("\n", 1)[1], with_answers=True) == [
        (1, "Where is it?", "In the hall.")
    ]


def test_a_question_without_its_answer_is_a_bad_row() -> None:
    sheet = read(b"one\nWhere?,\nWhere is it?,here\n", LIMITS, with_answers=True)

    assert [bad.line for bad in sheet.bad] == [1, 2]
    assert sheet.bad[0].reason == "row must have a question and an answer, got one column"
    assert sheet.bad[1].reason == "answer must have a letter, got none"
    assert sheet.rows == [Row(3, "Where is it?", "here")]


def test_a_text_with_a_comma_and_no_quotes_is_named_and_not_cut() -> None:
    sheet = read(b"one\ncats, dogs\nthree\n", LIMITS)

    assert [r.text for r in sheet.rows] == ["one", "three"]
    assert sheet.bad == [
        BadRow(
            2, "row must have 1 column, got 2; put a text with a separator in it in double quotes"
        )
    ]


def test_a_quote_that_is_never_closed_is_named() -> None:
    sheet = read(b'one\n"two\nthree\n', LIMITS)

    assert [r.text for r in sheet.rows] == ["one"]
    assert sheet.bad == [BadRow(2, "row could not be read: unexpected end of data")]


def test_a_cell_larger_than_any_text_is_named_and_the_others_go_on() -> None:
    sheet = read(b'one\n"' + b"x" * 200_000 + b'"\nthree\n', LIMITS)

    assert [r.text for r in sheet.rows] == ["one", "three"]
    assert [bad.line for bad in sheet.bad] == [2]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030", "big5"])
def test_any_usual_encoding_is_read(encoding: str) -> None:
    content = "狐狸跑得很快，水獭在河里游泳。\n獾在老橡樹下面挖洞穴。\n" * 20

    found = read(content.encode(encoding, "ignore"), LIMITS).rows

    assert len(found) == 40
    assert found[0].text.startswith("狐狸" if encoding != "big5" else found[0].text[0])


def test_what_no_reader_sees_is_taken_out() -> None:
    assert rows("the first o\x07n\0e <|x|>\nthe second one\n")[0] == (1, "the first one <x>", None)


@pytest.mark.parametrize(
    ("content", "limits", "message"),
    [
        (b"x" * 11, SheetLimits(max_bytes=10), "file must be at most 10 bytes, got 11"),
        (b"a\nb\nc\n", SheetLimits(max_rows=2), "file must have at most 2 rows, got more"),
        (b"\n \n,,\n", LIMITS, "file must have a row with text, got none"),
        (b"", LIMITS, "file must have a row with text, got none"),
        (bytes(range(256)) * 40, LIMITS, "file must be text in columns"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_as_a_whole(
    content: bytes, limits: SheetLimits, message: str
) -> None:
    with pytest.raises(BadImport, match=message):
        read(content, limits)


def test_as_many_rows_as_are_allowed_are_taken() -> None:
    assert len(read(b"a\nb\n", SheetLimits(max_rows=2)).rows) == 2
