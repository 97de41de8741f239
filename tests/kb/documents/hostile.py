"""Files that mean harm, and Office files and books as they ought to be; each is made when asked for."""

import io
import zipfile
from collections.abc import Iterable, Mapping
from typing import Any

_TYPES = """<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">
<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>
<Default Extension="xml" ContentType="application/xml"/>{}</Types>"""
_RELATIONS = """<?xml version="1.0"?>
<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">{}</Relationships>"""
_TYPE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_SHEETS = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"

BOMB = (
    '<!DOCTYPE x [<!ENTITY a "lol">'
    + "".join(
        f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    + "]>"
)


def archive(
    parts: Mapping[str, bytes | str] | Iterable[tuple[str, bytes | str]], *, packed: bool = True
) -> bytes:
    """A zip file of these parts."""
    kept = io.BytesIO()
    method = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
    with zipfile.ZipFile(kept, "w", method) as made:
        for name, content in parts.items() if isinstance(parts, Mapping) else parts:
            made.writestr(name, content)
    return kept.getvalue()


def with_part(package: bytes, name: str, content: bytes | str) -> bytes:
    """The same package with one part replaced, or one more."""
    with zipfile.ZipFile(io.BytesIO(package)) as old:
        return archive({part: old.read(part) for part in old.namelist()} | {name: content})


def saved(document: Any) -> bytes:
    """The bytes of a document of python-docx or python-pptx."""
    kept = io.BytesIO()
    document.save(kept)
    return kept.getvalue()


def word(body: str, head: str = "") -> bytes:
    """A docx whose body is this XML."""
    import docx

    space = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    text = f'<?xml version="1.0"?>{head}<w:document xmlns:w="{space}"><w:body>{body}</w:body></w:document>'
    return with_part(saved(docx.Document()), "word/document.xml", text)


def workbook(
    *sheets: str, texts: Iterable[str] = (), formats: str = "", names: Iterable[str] = ()
) -> bytes:
    """An xlsx whose sheets hold these rows of XML, with the texts that their cells share."""
    named = list(names) or [f"Sheet{n}" for n in range(1, len(sheets) + 1)]
    listed = "".join(
        f'<sheet name="{name}" sheetId="{n}" r:id="r{n}"/>' for n, name in enumerate(named, 1)
    )
    relations = "".join(
        f'<Relationship Id="r{n}" Type="{_TYPE}/worksheet" Target="worksheets/sheet{n}.xml"/>'
        for n in range(1, len(sheets) + 1)
    )
    relations += f'<Relationship Id="s" Type="{_TYPE}/sharedStrings" Target="sharedStrings.xml"/>'
    relations += f'<Relationship Id="f" Type="{_TYPE}/styles" Target="styles.xml"/>'
    root = f'<Relationship Id="w" Type="{_TYPE}/officeDocument" Target="xl/workbook.xml"/>'
    shared = "".join(f"<si><t>{text}</t></si>" for text in texts)
    parts = {
        "[Content_Types].xml": _TYPES.format(""),
        "_rels/.rels": _RELATIONS.format(root),
        "xl/workbook.xml": f'<workbook xmlns="{_SHEETS}" xmlns:r="{_TYPE}">'
        f"<sheets>{listed}</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": _RELATIONS.format(relations),
        "xl/sharedStrings.xml": f'<sst xmlns="{_SHEETS}">{shared}</sst>',
        "xl/styles.xml": f'<styleSheet xmlns="{_SHEETS}"><cellXfs>{formats}</cellXfs></styleSheet>',
    }
    for number, rows in enumerate(sheets, 1):
        parts[f"xl/worksheets/sheet{number}.xml"] = (
            f'<worksheet xmlns="{_SHEETS}"><sheetData>{rows}</sheetData></worksheet>'
        )
    return archive(parts)


def cells(*rows: Iterable[str]) -> str:
    """Rows of XML with these texts, each in its cell."""
    return "".join(
        f'<row r="{n}">'
        + "".join(f'<c t="inlineStr"><is><t>{value}</t></is></c>' for value in row)
        + "</row>"
        for n, row in enumerate(rows, 1)
    )


def book(
    chapters: Mapping[str, str], order: Iterable[str] | None = None, opf_head: str = ""
) -> bytes:
    """An epub of these chapters, read in this order."""
    names = list(chapters)
    items = "".join(
        f'<item id="i{n}" href="{name}" media-type="application/xhtml+xml"/>'
        for n, name in enumerate(names)
    )
    spine = "".join(f'<itemref idref="i{names.index(name)}"/>' for name in order or names)
    parts = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container">'
        '<rootfiles><rootfile full-path="text/book.opf"/></rootfiles></container>',
        "text/book.opf": f'{opf_head}<package xmlns="http://www.idpf.org/2007/opf">'
        f"<manifest>{items}</manifest><spine>{spine}</spine></package>",
    }
    return archive(
        parts | {f"text/{name}": text for name, text in chapters.items() if ".." not in name}
    )


def looping_pdf() -> bytes:
    """A pdf whose tree of pages holds itself, and whose page shows itself."""
    objects = [
        "<</Type/Catalog/Pages 2 0 R>>",
        "<</Type/Pages/Count 3/Kids[2 0 R 3 0 R 2 0 R]/Parent 2 0 R>>",
        "<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]/Contents 4 0 R/Resources<</XObject<</X 4 0 R>>>>>>",
    ]
    form = "<</Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<</XObject<</X 4 0 R>>>>/Length 5>>"
    return pdf([*objects, f"{form}stream\n/X Do\nendstream"])


def pdf(objects: list[str]) -> bytes:
    """A pdf of these objects, the first of which is its catalog."""
    made = "%PDF-1.7\n"
    places = []
    for number, content in enumerate(objects, 1):
        places.append(len(made))
        made += f"{number} 0 obj\n{content}\nendobj\n"
    table = "".join(f"{place:010d} 00000 n \n" for place in places)
    start = len(made)
    made += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}"
    made += f"trailer<</Root 1 0 R/Size {len(objects) + 1}>>\nstartxref\n{start}\n%%EOF"
    return made.encode("latin-1")
