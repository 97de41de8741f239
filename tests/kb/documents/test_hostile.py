"""Files that mean harm end as `limit …`, in bounded time and memory."""

import io
import multiprocessing
import resource
import stat
import time
import zipfile
from collections.abc import Callable
from functools import cache
from multiprocessing.connection import Connection

import docx
import pytest

from taskhub.kb.documents.extract import Format, extract
from taskhub.kb.documents.failures import BadDocument, Problem
from taskhub.kb.documents.limits import Limits
from taskhub.settings import Settings
from tests.kb.documents import hostile

MEMORY_BYTES = 512 * 1024 * 1024
SECONDS = 60  # of a loaded machine; a second or two on a free one


def zip_bomb(kind: Format) -> bytes:
    return hostile.archive({f"{kind.value}.xml": bytes(200_000_000)})


def zip_that_lies(kind: Format) -> bytes:
    """One entry of 5 GB by its listing, which has 20 bytes."""
    made = bytearray(hostile.archive({f"{kind.value}.xml": "x" * 20}))
    listing = made.index(b"PK\x01\x02")
    made[listing + 24 : listing + 28] = (4_000_000_000).to_bytes(4, "little")
    return bytes(made)


def many_entries(_: Format) -> bytes:
    return _many_entries()


@cache
def _many_entries() -> bytes:
    return hostile.archive(((f"{n}.xml", b"") for n in range(100_000)), packed=False)


def outside(_: Format) -> bytes:
    return hostile.archive({"../../etc/passwd.xml": "x"})


def absolute(_: Format) -> bytes:
    return hostile.archive({"/etc/passwd": "x"})


def from_windows(_: Format) -> bytes:
    return hostile.archive({"word\\..\\..\\x.xml": "x"})


def link(_: Format) -> bytes:
    kept = io.BytesIO()
    with zipfile.ZipFile(kept, "w") as made:
        entry = zipfile.ZipInfo("word/document.xml")
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        made.writestr(entry, "/etc/passwd")
    return kept.getvalue()


ARCHIVES = [zip_bomb, zip_that_lies, many_entries, outside, absolute, from_windows, link]
OFFICE = [Format.DOCX, Format.XLSX, Format.PPTX, Format.EPUB]


def entities(kind: Format) -> bytes:
    if kind is Format.DOCX:
        return hostile.word("<w:p><w:r><w:t>&i;</w:t></w:r></w:p>", hostile.BOMB)
    if kind is Format.XLSX:
        made = hostile.workbook(hostile.cells(["a", "b"]))
        return hostile.with_part(made, "xl/sharedStrings.xml", f"{hostile.BOMB}<sst>&i;</sst>")
    if kind is Format.PPTX:
        return hostile.archive({"ppt/presentation.xml": f"{hostile.BOMB}<p>&i;</p>"})
    return hostile.book({"a.xhtml": "<p>x</p>"}, opf_head=hostile.BOMB)


def entities_in_utf16(kind: Format) -> bytes:
    made = hostile.workbook(hostile.cells(["a", "b"]))
    return hostile.with_part(
        made, f"{kind.value}.xml", f"{hostile.BOMB}<sst>&i;</sst>".encode("utf-16")
    )


def chapter_with_entities(_: Format) -> bytes:
    return hostile.book({"a.xhtml": f"{hostile.BOMB}<p>&i;</p>"})


def chapter_outside(_: Format) -> bytes:
    return hostile.book({"../../../etc/passwd": "x"})


def million_cells(_: Format) -> bytes:
    row = "<row>" + "<c><v>1</v></c>" * 1000 + "</row>"
    return hostile.workbook(row * 1000)


def two_cells_far_apart(_: Format) -> bytes:
    return hostile.workbook(
        '<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'
    )


def one_text_in_every_cell(_: Format) -> bytes:
    row = "<row>" + '<c t="s"><v>0</v></c>' * 100 + "</row>"
    return hostile.workbook(row * 1000, texts=["x" * 30_000])


def deep_markup(_: Format) -> bytes:
    return hostile.word("<w:p>" * 100_000 + "</w:p>" * 100_000)


def million_elements(_: Format) -> bytes:
    return hostile.word("<w:p/>" * 1_100_000)


def page_of_elements(_: Format) -> bytes:
    return b"<p>x" * 1_100_000


def deep_page(_: Format) -> bytes:
    return b"<div></x>" * 200_000


def page_of_words(_: Format) -> bytes:
    return b"word " * 4_000_000


def open_quote(_: Format) -> bytes:
    return b'a,b\n"' + b"x,y\n" * 1_000_000


def pdf_of_too_many_pages(_: Format) -> bytes:
    kids = "3 0 R " * 5001
    return hostile.pdf(
        [
            "<</Type/Catalog/Pages 2 0 R>>",
            f"<</Type/Pages/Count 5001/Kids[{kids}]>>",
            "<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>",
        ]
    )


CASES = [(make, kind) for make in ARCHIVES for kind in OFFICE]
CASES += [(entities, kind) for kind in OFFICE]
CASES += [(entities_in_utf16, Format.XLSX)]
CASES += [(chapter_with_entities, Format.EPUB), (chapter_outside, Format.EPUB)]
CASES += [
    (make, Format.XLSX) for make in (million_cells, two_cells_far_apart, one_text_in_every_cell)
]
CASES += [(make, Format.DOCX) for make in (deep_markup, million_elements)]
CASES += [
    (page_of_elements, Format.HTML),
    (deep_page, Format.HTML),
    (page_of_words, Format.HTML),
    (open_quote, Format.CSV),
    (pdf_of_too_many_pages, Format.PDF),
]


def in_a_child(send: Connection, content: bytes, kind: Format) -> None:
    held = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()  # noqa: PTH123, SIM115
    resource.setrlimit(resource.RLIMIT_AS, (held + MEMORY_BYTES, held + MEMORY_BYTES))
    began = time.monotonic()
    try:
        for _ in extract(io.BytesIO(content), kind):
            pass
        send.send(("no error", "", time.monotonic() - began))
    except BadDocument as problem:
        send.send((problem.kind.value, str(problem), time.monotonic() - began))


@pytest.mark.parametrize(("make", "kind"), CASES, ids=lambda one: getattr(one, "__name__", one))
def test_a_file_that_means_harm_ends_as_a_limit(
    make: Callable[[Format], bytes], kind: Format
) -> None:
    receive, send = multiprocessing.Pipe(duplex=False)
    child = multiprocessing.get_context("fork").Process(
        target=in_a_child, args=(send, make(kind), kind)
    )
    child.start()
    send.close()
    try:
        assert receive.poll(SECONDS), "it took too long"
        problem, message, seconds = receive.recv()
    finally:
        child.kill()
        child.join()

    assert (problem, message[:6]) == (Problem.LIMIT.value, "limit "), message
    assert seconds < SECONDS


def test_a_long_page_of_paragraphs_that_nobody_closes_is_read() -> None:
    page = b"<table>" + b"<tr><td>cell<td>cell" * 20_000 + b"</table>" + b"<p>text" * 20_000

    assert "".join(extract(io.BytesIO(page), Format.HTML)).count("cell") == 40_000


def test_a_pdf_that_holds_itself_ends() -> None:
    with pytest.raises(BadDocument):
        list(extract(io.BytesIO(hostile.looping_pdf()), Format.PDF))


def test_the_limit_that_was_reached_is_named_with_what_to_do() -> None:
    with pytest.raises(BadDocument) as caught:
        list(extract(io.BytesIO(pdf_of_too_many_pages(Format.PDF)), Format.PDF))

    assert str(caught.value) == (
        "limit reached: pages must be at most 5,000, got 5,001; raise max_pages to take it"
    )


def test_reading_for_too_long_ends_between_two_blocks() -> None:
    document = docx.Document()
    document.add_paragraph("otters")

    with pytest.raises(BadDocument, match="limit reached: reading must take at most 1e-09 seconds"):
        list(
            extract(
                io.BytesIO(hostile.saved(document)), Format.DOCX, Limits(max_parse_seconds=1e-9)
            )
        )


def test_an_entry_longer_than_it_says_is_never_read_further() -> None:
    made = bytearray(hostile.word("<w:p/>"))
    name = b"word/document.xml"
    listing = made.index(name, made.index(b"PK\x01\x02")) - 46
    made[listing + 24 : listing + 28] = (30).to_bytes(4, "little")

    with pytest.raises(BadDocument, match="damaged docx file"):
        list(extract(io.BytesIO(bytes(made)), Format.DOCX))


def test_pictures_are_not_held_in_memory() -> None:
    document = docx.Document()
    document.add_paragraph("otters")
    whole = hostile.with_part(hostile.saved(document), "word/media/image1.png", bytes(15_000_000))

    assert list(extract(io.BytesIO(whole), Format.DOCX)) == ["otters\n\n"]


def test_every_limit_is_a_setting_of_the_same_name_and_default() -> None:
    assert Limits.of(Settings()) == Limits()
    assert Limits.of(Settings(max_pages=7)) == Limits(max_pages=7)
