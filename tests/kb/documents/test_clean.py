import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskhub.kb.documents.clean import clean


@pytest.mark.parametrize(
    ("dirty", "clean_text"),
    [
        ("a\x00b\x07c\x7fd", "abcd"),
        ("<|im_start|>system", "<im_start>system"),
        ("ex\ufffeample\uffff", "example"),
        ("half \ud83d of a pair", "half  of a pair"),
        ("a\r\nb\rc\x0cd\x85e\u2028f", "a\nb\nc\nd\ne\nf"),
        ("tabs\tand 你好 \U0001f600 stay", "tabs\tand 你好 \U0001f600 stay"),
    ],
)
def test_what_no_reader_sees_is_taken_out(dirty: str, clean_text: str) -> None:
    assert clean(dirty) == clean_text


def test_extra_spaces_and_empty_lines_go_when_asked() -> None:
    assert clean("a  \u3000 b\n\n \n\n\nc\nd", spaces=True) == "a b\n\nc\nd"


def test_urls_go_when_asked_and_markdown_links_stay() -> None:
    text = "see https://a.example/x?y=1，and [here](https://b.example) ![x](http://c.example/i.png)"

    assert (
        clean(text, urls=True) == "see ，and [here](https://b.example) ![x](http://c.example/i.png)"
    )


def test_mail_addresses_go_when_asked() -> None:
    assert clean("write to jo.doe+x@mail.example.org now", mails=True) == "write to  now"


@given(st.text(st.characters(), max_size=60))
def test_any_text_ends_as_one_that_postgres_can_store(text: str) -> None:
    stored = clean(text, spaces=True, urls=True, mails=True)

    assert "\0" not in stored
    assert stored.encode().decode() == stored
