import io
from typing import Any

import docx
import pptx
import pytest
from pptx.util import Inches

from taskhub.kb.documents.extract import Format, extract, rows
from taskhub.kb.documents.failures import BadDocument
from tests.kb.documents import hostile


def text_of(content: bytes, kind: Format) -> str:
    return "".join(extract(io.BytesIO(content), kind))


def test_a_word_file_gives_paragraphs_and_tables_in_the_order_of_the_page() -> None:
    document = docx.Document()
    document.add_heading("Otters", 1)
    document.add_paragraph("They swim\twell.")
    table = document.add_table(rows=2, cols=2)
    for cell, text in zip(
        table._cells, ("animal", "food", "otter", "fish\nand crabs"), strict=True
    ):
        cell.text = text
    document.add_paragraph("水獺吃魚。")

    assert text_of(hostile.saved(document), Format.DOCX) == (
        "Otters\n\nThey swim\twell.\n\nanimal | food\notter | fish and crabs\n\n水獺吃魚。\n\n"
    )


def test_a_word_file_keeps_what_stands_in_controls_and_was_added_and_loses_what_was_deleted() -> (
    None
):
    body = (
        "<w:sdt><w:sdtContent><w:p><w:r><w:t>in a control</w:t></w:r></w:p></w:sdtContent></w:sdt>"
        "<w:p><w:ins><w:r><w:t>put in</w:t></w:r></w:ins>"
        "<w:del><w:r><w:delText>taken out</w:delText></w:r></w:del>"
        "<w:hyperlink><w:r><w:t>, linked</w:t></w:r></w:hyperlink></w:p>"
    )

    assert text_of(hostile.word(body), Format.DOCX) == "in a control\n\nput in, linked\n\n"


def test_a_presentation_gives_each_slide_with_its_tables_groups_and_notes() -> None:
    deck = pptx.Presentation()
    slide = deck.slides.add_slide(deck.slide_layouts[5])
    slide.shapes.title.text = "Otters"
    place: tuple[Any, ...] = (Inches(1),) * 4
    table = slide.shapes.add_table(1, 2, *place).table
    table.cell(0, 0).text, table.cell(0, 1).text = "food", "fish"
    slide.shapes.add_group_shape().shapes.add_textbox(*place).text_frame.text = "in a group"
    slide.notes_slide.notes_text_frame.text = "say it slowly"
    deck.slides.add_slide(deck.slide_layouts[5]).shapes.title.text = "Badgers"

    blocks = list(extract(io.BytesIO(hostile.saved(deck)), Format.PPTX))

    assert blocks == ["Otters\n\nfood | fish\n\nin a group\n\nsay it slowly\n\n", "Badgers\n\n"]


def test_a_workbook_gives_a_line_a_row_with_headings_and_readable_dates() -> None:
    dated = (
        '<row r="1"><c t="inlineStr"><is><t>name</t></is></c><c t="inlineStr"><is><t>born</t></is></c>'
        '<c t="inlineStr"><is><t>weight</t></is></c></row>'
        '<row r="2"><c t="s"><v>0</v></c><c s="1"><v>45000</v></c><c><v>7</v></c></row>'
        '<row r="4"><c t="s"><v>1</v></c><c s="1"><v>45000.5</v></c><c><v>7.25</v></c></row>'
    )
    made = hostile.workbook(
        dated,
        hostile.cells(["1", "2"], ["3", "4"]),
        texts=("Otto &amp; Co", "水獺"),
        formats='<xf numFmtId="0"/><xf numFmtId="14"/>',
        names=("Animals", "Numbers"),
    )

    assert text_of(made, Format.XLSX) == (
        "Animals\nname: Otto & Co; born: 2023-03-15; weight: 7\n"
        "name: 水獺; born: 2023-03-15 12:00:00; weight: 7.25\n\n"
        "Numbers\n1\t2\n3\t4\n\n"
    )


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "gb18030", "utf-16"])
def test_a_csv_file_is_read_in_its_encoding_and_with_its_separator(
    separator: str, encoding: str
) -> None:
    lines = ["问题名称,回答", "水獭吃什么食物,鱼、虾；还有螃蟹"]
    text = "\r\n".join(line.replace(",", separator, 1) for line in lines)
    text += '\r\n"它们, 住在"' + separator + '"河边。\n还有海边"\r\n'

    assert text_of(text.encode(encoding), Format.CSV) == (
        "问题名称: 水獭吃什么食物; 回答: 鱼、虾；还有螃蟹\n问题名称: 它们, 住在; 回答: 河边。 还有海边\n\n"
    )
    assert list(rows(io.BytesIO(text.encode(encoding)), Format.CSV))[2][1] == "河边。\n还有海边"


def test_a_book_is_read_in_the_order_of_its_spine_and_not_of_its_files() -> None:
    made = hostile.book(
        {"a.xhtml": "<p>second</p>", "b%20c.xhtml": "", "b c.xhtml": "<html><p>first</p></html>"},
        order=["b%20c.xhtml", "a.xhtml"],
    )

    assert text_of(made, Format.EPUB) == "first\n\nsecond\n\n"


@pytest.mark.parametrize("kind", [Format.DOCX, Format.XLSX, Format.PPTX, Format.EPUB])
def test_garbage_is_a_damaged_file_and_an_old_or_locked_one_is_told_apart(kind: Format) -> None:
    for garbage in (b"PK\x03\x04 and no more", b"words", hostile.archive({"a.txt": "x"})):
        with pytest.raises(BadDocument, match=f"damaged {kind.value} file"):
            text_of(garbage, kind)
    with pytest.raises(BadDocument, match=f"encrypted {kind.value}, or one of an Office"):
        text_of(b"\xd0\xcf\x11\xe0" + bytes(600), kind)


def test_a_file_cut_short_anywhere_is_a_bad_document_and_nothing_else() -> None:
    document = docx.Document()
    document.add_paragraph("otters " * 200)
    whole = hostile.saved(document)

    for end in range(0, len(whole) - 1, 997):
        with pytest.raises(BadDocument):
            text_of(whole[:end] + b"\0" * 40, Format.DOCX)
