import pytest

from taskhub.kb.annotations.read_csv import ImportRefused, Row, read_csv


def read(content: bytes, *, max_rows: int = 100, max_bytes: int = 100_000) -> list[Row]:
    return read_csv(content, max_rows=max_rows, max_bytes=max_bytes).rows


def test_rows_keep_the_line_where_they_begin() -> None:
    rows = read(b'question,answer\n"two\nlines","an\nswer"\n\nnext,one\n')

    assert [(row.line, row.question, row.answer) for row in rows] == [
        (2, "two\nlines", "an\nswer"),
        (6, "next", "one"),
    ]


@pytest.mark.parametrize(
    ("content", "pairs"),
    [
        (b"a question,an answer\n", [("a question", "an answer")]),
        (b"answer;question\nA;Q\n", [("Q", "A")]),
        (
            "问题\t答案\n钥匙在哪里？\t在钟后面。\n".encode("gb18030"),
            [("钥匙在哪里？", "在钟后面。")],
        ),
        ("\ufeffQuestion,Answer\r\nGröße?,groß\r\n".encode(), [("Größe?", "groß")]),
        ("Größe der Küche?,fünf Meter\n".encode("cp1252"), [("Größe der Küche?", "fünf Meter")]),
        ("question,answer\nQ,A\n".encode("utf-16"), [("Q", "A")]),
    ],
)
def test_header_delimiter_and_encoding_are_found_out(
    content: bytes, pairs: list[tuple[str, str]]
) -> None:
    assert [(row.question, row.answer) for row in read(content)] == pairs


def test_a_bad_row_is_named_with_its_reason_and_keeps_no_other() -> None:
    lines = [
        "question,answer",
        "good,row",
        "alone",
        ",no question",
        "no answer,   ",
        f"{'q' * 2001},too long",
        f"too long,{'a' * 10_001}",
        "nul,a\0b",
        f"field,{'x' * 200_000}",
        "last,row",
    ]

    rows = read("\n".join(lines).encode(), max_bytes=1_000_000)

    assert [row.line for row in rows] == list(range(2, 11))
    assert [row.error for row in rows] == [
        None,
        "row must have a question and an answer, got 1 column",
        "question must not be empty",
        "answer must not be empty",
        "question must be at most 2000 characters, got 2001",
        "answer must be at most 10000 characters, got 10001",
        "answer must not contain a NUL character",
        "answer must be at most 10000 characters, got 200000",
        None,
    ]
    assert all(len(row.question) <= 100 for row in rows if row.error)


def test_a_quote_that_is_never_closed_is_named_and_stored_in_no_answer() -> None:
    rows = read(b'good,row\nWhere?,"in the hall\nWhen?,at noon\n')

    assert [(row.line, row.error) for row in rows] == [
        (1, None),
        (2, "row could not be read: unexpected end of data"),
    ]


def test_bytes_that_are_no_text_spoil_their_row_alone() -> None:
    good = "".join(f"Größe {n}?,größer\n" for n in range(30)).encode()

    rows = read(good + b"bad \xff byte,answer\n")

    assert [row.line for row in rows if row.error] == [31]
    assert rows[-1].error == "row has bytes that are no utf-8"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "at least one row"),
        (b"question,answer\n\n", "at least one row"),
        (b"x,y\n" * 101, "at most 100 rows, got more"),
        (b"q,a\n" * 100_000, "at most 100000 bytes, got 400000 or more"),
        (bytes(range(256)) * 40, "must be a CSV text, got binary data"),
    ],
)
def test_a_file_that_cannot_be_taken_is_refused_as_a_whole(content: bytes, reason: str) -> None:
    with pytest.raises(ImportRefused, match=reason):
        read(content)
