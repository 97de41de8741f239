# /// script
# requires-python = ">=3.11"
# dependencies = ["reportlab>=5,<6"]
# ///
"""Write the handbook's PDF files from the Markdown in pdf_sources/.

Run it after a source has changed: `uv run examples/make_pdfs.py`, or with any Python that has
reportlab. The same source and the same reportlab give the same bytes.
"""

from collections.abc import Iterator
from pathlib import Path
from xml.sax.saxutils import escape

from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    BaseDocTemplate,
    Flowable,
    Frame,
    PageTemplate,
    Paragraph,
    Spacer,
    Table,
)

HERE = Path(__file__).parent
FOLDERS = {
    "battery-care.zh": "manual",
    "equipment.zh": "policies",
    "incident-response": "policies",
    "invention-reward.zh": "policies",
    "specifications": "manual",
    "warranty": "manual",
}
# Every reader brings this font along, so nothing is embedded and the files stay small.
CHINESE_FONT = "STSong-Light"


def main() -> None:
    pdfmetrics.registerFont(UnicodeCIDFont(CHINESE_FONT))
    for name, folder in FOLDERS.items():
        source = HERE / "pdf_sources" / f"{name}.md"
        write_pdf(source.read_text(encoding="utf-8"), HERE / "handbook" / folder / f"{name}.pdf")


def write_pdf(markdown: str, target: Path) -> None:
    """Lay out headings, paragraphs, `-` lists and `|` tables; no other Markdown is known."""
    chinese = target.stem.endswith(".zh")
    title = markdown.partition("\n")[0].removeprefix("# ")
    document = BaseDocTemplate(
        str(target),
        pagesize=A4,
        title=title,
        author="Lanternworks",
        lang="zh-Hans" if chinese else "en",
        invariant=1,
    )

    def footer(canvas: Canvas, layout: BaseDocTemplate) -> None:
        canvas.setFont(CHINESE_FONT if chinese else "Helvetica", 8)
        canvas.drawCentredString(A4[0] / 2, 12 * mm, f"Lanternworks · {title} · {layout.page}")

    margin = 22 * mm
    frame = Frame(margin, margin, A4[0] - 2 * margin, A4[1] - 2 * margin)
    # At the page's end: readers give the text back in the order in which it was drawn.
    document.addPageTemplates(PageTemplate(frames=[frame], onPageEnd=footer))
    document.build(list(flowables(markdown, styles(chinese=chinese))))


def styles(*, chinese: bool) -> dict[str, ParagraphStyle]:
    body = ParagraphStyle(
        "body",
        fontName=CHINESE_FONT if chinese else "Helvetica",
        fontSize=10.5,
        leading=17 if chinese else 15,
        spaceAfter=6,
        wordWrap="CJK" if chinese else None,
    )
    bold = body.fontName if chinese else "Helvetica-Bold"
    return {
        "body": body,
        "cell": ParagraphStyle("cell", parent=body, fontSize=9.5, leading=13, spaceAfter=0),
        "list": ParagraphStyle("list", parent=body, leftIndent=12, bulletIndent=2),
        "heading": ParagraphStyle(
            "heading", parent=body, fontName=bold, fontSize=13, spaceBefore=8, keepWithNext=1
        ),
        "title": ParagraphStyle(
            "title", parent=body, fontName=bold, fontSize=20, leading=26, spaceAfter=10
        ),
    }


def flowables(markdown: str, style: dict[str, ParagraphStyle]) -> Iterator[Flowable]:
    for block in markdown.strip().split("\n\n"):
        text = escape(block)
        if text.startswith("# "):
            yield Paragraph(text[2:], style["title"])
        elif text.startswith("## "):
            yield Paragraph(text[3:], style["heading"])
        elif text.startswith("|"):
            yield table(text, style["cell"])
            yield Spacer(1, 8)
        elif text.startswith("- "):
            for item in text.splitlines():
                yield Paragraph(item[2:], style["list"], bulletText="•")
        else:
            yield Paragraph(text, style["body"])


def table(block: str, style: ParagraphStyle) -> Table:
    rows = [
        [Paragraph(cell.strip(), style) for cell in line.strip("|").split("|")]
        for line in block.splitlines()
        if not line.startswith("|---")
    ]
    grid = ("GRID", (0, 0), (-1, -1), 0.4, colors.grey)
    return Table(rows, style=[grid, ("VALIGN", (0, 0), (-1, -1), "TOP")], hAlign="LEFT")


if __name__ == "__main__":
    main()
