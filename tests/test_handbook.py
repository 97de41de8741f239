"""The handbook in examples/: what the demo shows and what retrieval is measured on."""

import json
import re
from collections import Counter
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import NotRequired, TypedDict, cast

import pypdfium2  # type: ignore[import-untyped]  # ships no types
import pytest
from charset_normalizer import from_path
from selectolax.lexbor import LexborHTMLParser

EXAMPLES = Path(__file__).parent.parent / "examples"
HANDBOOK = EXAMPLES / "handbook"
DOCUMENTS = sorted(
    path.relative_to(HANDBOOK).as_posix() for path in HANDBOOK.rglob("*") if path.is_file()
)
NOT_FOR_READERS = "nav, script, style, footer"
# Without this charset-normalizer takes accented letters of the west for those of the east.
ENCODINGS = ["ascii", "utf_8", "gb18030", "cp1252"]
CHINESE = re.compile("[\u4e00-\u9fff]")


class Question(TypedDict):
    question: str
    language: str
    document: str
    passage: str
    # Kept aside: search is tuned on the others, and judged by these.
    aside: NotRequired[bool]


QUESTIONS = cast(
    "list[Question]", json.loads((EXAMPLES / "questions.json").read_text(encoding="utf-8"))
)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_document_is_prose_in_the_language_of_its_name(document: str) -> None:
    text = text_of(document)

    chinese = len(CHINESE.findall(text))
    words = len(re.findall("[A-Za-z]+", text))
    assert "\ufffd" not in text
    if language_of(document) == "zh":
        assert 500 <= chinese <= 1500
        assert chinese > words
    else:
        assert words >= 300
        assert chinese == 0


def test_formats_and_languages_are_mixed() -> None:
    mix = Counter((language_of(name), Path(name).suffix) for name in DOCUMENTS)

    assert mix == {
        ("en", ".md"): 8,
        ("en", ".txt"): 7,
        ("en", ".html"): 6,
        ("en", ".pdf"): 3,
        ("zh", ".md"): 5,
        ("zh", ".txt"): 4,
        ("zh", ".html"): 4,
        ("zh", ".pdf"): 3,
    }


def test_one_document_is_long_enough_to_be_split_many_times() -> None:
    assert len(text_of("manual/installation.md").split()) > 2700


@pytest.mark.parametrize(
    ("document", "encoding", "words"),
    [
        ("policies/working-hours.zh.txt", "gb18030", "弹性上下班"),
        ("policies/procurement.txt", "latin-1", "François Gaudé"),
    ],
)
def test_two_texts_are_in_other_encodings_than_utf_8(
    document: str, encoding: str, words: str
) -> None:
    content = (HANDBOOK / document).read_bytes()

    with pytest.raises(UnicodeDecodeError):
        content.decode("utf-8")
    assert words in content.decode(encoding)
    assert text_of(document) == content.decode(encoding)


@pytest.mark.parametrize("document", [name for name in DOCUMENTS if name.endswith(".html")])
def test_a_page_has_parts_that_are_not_for_readers(document: str) -> None:
    page = LexborHTMLParser((HANDBOOK / document).read_bytes())

    parts = page.css(NOT_FOR_READERS)

    assert {part.tag for part in parts} == {"nav", "script", "style", "footer"}
    assert not [part for part in parts if squeezed(part.text()) in squeezed(text_of(document))]


@pytest.mark.parametrize("document", [name for name in DOCUMENTS if name.endswith(".pdf")])
def test_a_pdf_says_what_its_source_says(document: str) -> None:
    source = EXAMPLES / "pdf_sources" / Path(document).with_suffix(".md").name
    marks = re.compile(r"^#+ |^- |^\|---.*$|\|", re.MULTILINE)
    title = source.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
    footer = re.compile(rf"Lanternworks·{re.escape(squeezed(title))}·\d")

    said = footer.sub("", squeezed(text_of(document)))

    assert said == squeezed(marks.sub("", source.read_text(encoding="utf-8")))
    assert (HANDBOOK / document).stat().st_size < 60_000


@pytest.mark.parametrize("asked", QUESTIONS, ids=[asked["question"] for asked in QUESTIONS])
def test_a_passage_stands_in_its_document_and_in_no_other(asked: Question) -> None:
    passage = squeezed(asked["passage"])

    found = [name for name in DOCUMENTS if passage in squeezed(text_of(name))]

    assert found == [asked["document"]]
    assert (asked["language"] == "zh") == bool(CHINESE.search(asked["question"]))


def test_every_document_is_asked_about_and_some_across_languages() -> None:
    languages = Counter((asked["language"], language_of(asked["document"])) for asked in QUESTIONS)

    assert languages == {("en", "en"): 90, ("en", "zh"): 14, ("zh", "zh"): 68, ("zh", "en"): 28}
    assert {asked["document"] for asked in QUESTIONS} == set(DOCUMENTS)
    assert len({asked["question"] for asked in QUESTIONS}) == 200


def test_chance_chose_the_half_that_is_kept_aside() -> None:
    by_hash = sorted(QUESTIONS, key=lambda asked: sha256(asked["question"].encode()).hexdigest())

    assert [asked.get("aside", False) for asked in by_hash] == [True] * 100 + [False] * 100


def test_the_first_three_questions_suit_the_demo() -> None:
    first = QUESTIONS[:3]

    assert [asked["language"] for asked in first] == ["en", "en", "zh"]
    assert [Path(asked["document"]).suffix for asked in first] == [".pdf", ".md", ".txt"]


@cache
def text_of(document: str) -> str:
    path = HANDBOOK / document
    if path.suffix == ".pdf":
        with pypdfium2.PdfDocument(path) as pdf:
            return "\n".join(page.get_textpage().get_text_bounded() for page in pdf)
    if path.suffix == ".html":
        page = LexborHTMLParser(path.read_bytes())
        for part in page.css(NOT_FOR_READERS):
            part.decompose()
        assert page.body is not None
        return page.body.text(separator="\n")
    best = from_path(path, cp_isolation=ENCODINGS).best()
    assert best is not None
    return str(best)


def squeezed(text: str) -> str:
    """Without white space: a PDF breaks lines inside Chinese words as well."""
    return "".join(text.split())


def language_of(document: str) -> str:
    return "zh" if ".zh." in document else "en"
