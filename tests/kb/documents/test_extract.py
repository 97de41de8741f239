import hashlib
import io
from pathlib import Path

import pytest

from taskhub.kb.documents.extract import Format, extract
from taskhub.kb.documents.failures import BadDocument

CHINESE = "知识库把文件切成段落，然后建立索引。搜索的时候，只返回启用的段落！"


def noise(size: int) -> bytes:
    return hashlib.shake_128(b"otters").digest(size)


def text_of(content: bytes, kind: Format = Format.TEXT) -> str:
    return "".join(extract(io.BytesIO(content), kind))


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Otters are fine. Ωτερ, выдра, 水獺.", "utf-8"),
        ("Otters, 水獺", "utf-8-sig"),
        ("Otters, 水獺", "utf-16"),
        ("Plain words without any mark", "utf-16-le"),
        ("Plain words without any mark", "utf-16-be"),
        ("Otters, 水獺", "utf-32"),
        (CHINESE, "gb18030"),
        ("段落", "gb18030"),
        ("Otter 是水獭，badger 是獾。\nplain line\n", "gb18030"),
        ("Café crème à la façon de Müller, où l'été déçoit.", "latin-1"),
        ("Müller", "latin-1"),
        ("naïve café 5 €", "cp1252"),
        ("Привет, это обычный текст на русском языке.", "cp1251"),
        ("中文繁體文字測試，這是一個段落，我們的系統可以搜尋。", "big5"),
    ],
)
def test_a_text_is_read_in_the_encoding_it_was_written_in(text: str, encoding: str) -> None:
    assert text_of(text.encode(encoding)) == text


def test_an_accent_after_megabytes_of_plain_text_still_tells_the_encoding() -> None:
    text = "plain words\n" * 200_000 + "Müller und Söhne\n"

    assert text_of(text.encode("latin-1")) == text


def test_one_wrong_byte_does_not_turn_utf8_into_another_encoding() -> None:
    content = (CHINESE * 3).encode() + b"\xff" + "好".encode()

    assert text_of(content) == CHINESE * 3 + "\ufffd好"


def test_a_letter_on_the_border_of_two_reads_stays_whole() -> None:
    text = "x" + "水" * 1_000_000

    assert text_of(text.encode()) == text


def test_binary_data_named_txt_is_refused() -> None:
    with pytest.raises(BadDocument, match="binary data, not text"):
        text_of(noise(5000))


@pytest.mark.parametrize("content", [b"", b" \n\t\n"])
def test_a_file_of_blanks_has_no_text(content: bytes) -> None:
    with pytest.raises(BadDocument, match="no text in the txt file"):
        text_of(content)


def test_html_loses_scripts_styles_and_navigation_and_keeps_paragraphs_apart() -> None:
    page = b"""<!doctype html><html><head><title>Otters</title><script>track()</script>
        <style>p {color: red}</style></head><body><nav><a href="/">Home</a></nav>
        <h1>About otters</h1><p>They <b>swim</b>
        well.</p><div>They eat <i>fish</i>.<p>Daily.</p></div><script>evil()</script>
        <table><tr><td>one</td><td>two</td></tr></table><footer>imprint</footer></body></html>"""

    assert text_of(page, Format.HTML) == (
        "Otters\n\nAbout otters\n\nThey swim well.\n\nThey eat fish.\n\nDaily.\n\none\n\ntwo"
    )


@pytest.mark.parametrize("declared", ["gb2312", "GBK", "gb18030"])
def test_html_is_read_in_the_encoding_that_it_declares(declared: str) -> None:
    page = f'<html><meta charset="{declared}"><p>{CHINESE}</p>'

    assert text_of(page.encode("gb18030"), Format.HTML) == CHINESE


def test_html_with_an_unknown_or_missing_encoding_is_read_all_the_same() -> None:
    assert text_of("<meta charset=klingon><p>Été".encode(), Format.HTML) == "Été"
    assert text_of("<p>Müller".encode("latin-1"), Format.HTML) == "Müller"


def test_html_nested_deeper_than_python_recurses_is_read() -> None:
    assert text_of(b"<div>" * 5000 + b"deep", Format.HTML) == "deep"


def test_a_pdf_is_read_page_by_page(documents: Path) -> None:
    with (documents / "two-pages.pdf").open("rb") as file:
        pages = list(extract(file, Format.PDF))

    assert pages == ["The first page tells of otters.\n\n", "The second page tells of badgers.\n\n"]


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("encrypted.pdf", "encrypted", "encrypted pdf; save a copy without a password"),
        ("no-text.pdf", "no_text", "no text in the pdf file; it may hold scanned pages"),
    ],
)
def test_a_pdf_that_gives_no_text_says_why(
    documents: Path, name: str, kind: str, message: str
) -> None:
    with (documents / name).open("rb") as file, pytest.raises(BadDocument) as caught:
        list(extract(file, Format.PDF))

    assert (caught.value.kind, str(caught.value)) == (kind, message)


def test_garbage_named_pdf_is_a_damaged_pdf(documents: Path) -> None:
    cut = (documents / "two-pages.pdf").read_bytes()[:60]

    for garbage in (noise(3000), b"%PDF-1.7\n", cut):
        with pytest.raises(BadDocument, match="damaged pdf file, or no pdf at all"):
            text_of(garbage, Format.PDF)
