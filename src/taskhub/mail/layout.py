"""A mail's templates made of its one source: a subject, and blocks that read well as plain text.

The first line is the subject. Blocks stand between empty lines:

    four spaces before a line      a code, large
    [Label] {{ link }}             a button, with the address below
    - {{ line }}                   a list, with its loop around it
    anything else                  a paragraph

Styles are put at the elements here, once for a kind, language and colour: for each mail that would cost
more than all the rest of it.
"""

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from css_inline import CSSInliner
from jinja2 import Environment, StrictUndefined, Template

from taskhub.accounts.models import Language

_BUTTON = re.compile(r"\[(.+)\] (\{\{ \w+ \}\})")
_TAG = re.compile(r"\{%.*%\}")


class UnknownKind(ValueError):
    """There is no template for a mail of this kind."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The three templates of a mail; only those of `html` escape what is put into them."""

    subject: Template
    text: Template
    html: Template


@cache
def layout(kind: str, language: str, color: str) -> Layout:
    """The templates of a kind in one language, with styles in one brand's colour.

    Raises:
        UnknownKind: no such mail.
    """
    subject, _, body = _source(kind, language).partition("\n")
    footer = _source("layout", language)
    glue = "" if language == Language.zh_hans else " "
    page = (
        _read("layout.html")
        .replace("BRAND_COLOR", color)
        .replace("<!-- body -->", _html(body, glue))
        .replace("<!-- footer -->", glue.join(footer.split("\n")).strip())
    )
    plain, escaping = _environment(autoescape=False), _environment(autoescape=True)
    signature = (
        "\n--\n" + footer + "{% if footer %}{{ footer }}\n{% endif %}\n{{ brand }} {{ home }}\n"
    )
    return Layout(
        subject=plain.from_string(subject),
        text=plain.from_string(_text(body) + signature),
        html=escaping.from_string(_inliner().inline(page)),
    )


def _html(body: str, glue: str) -> str:
    """The blocks as HTML, still a template."""
    made: list[str] = []
    for block in re.split(r"\n\s*\n", body.strip("\n")):
        lines = block.strip("\n").split("\n")
        button = _BUTTON.fullmatch(block.strip())
        if button is not None:
            label, link = button.groups()
            made += [
                f'<p><a class="button" href="{link}">{label}</a></p>',
                f'<p class="link">{link}</p>',
            ]
        elif block.startswith("    "):
            made.append(f'<p class="code">{block.strip()}</p>')
        elif any(line.startswith("- ") for line in lines):
            made.append(f"<ul>{''.join(_bullet(line) for line in lines)}</ul>")
        else:
            made.append(_paragraph(lines, glue))
    return "\n".join(made)


def _bullet(line: str) -> str:
    return f"<li>{line[2:]}</li>" if line.startswith("- ") else line


def _paragraph(lines: list[str], glue: str) -> str:
    """Lines of text as one paragraph; a loop that opens or ends among them stays around it."""
    opening = [line for line in lines[:1] if _TAG.fullmatch(line)]
    ending = [line for line in lines[len(opening) :] if _TAG.fullmatch(line)]
    words = glue.join(line.strip() for line in lines if not _TAG.fullmatch(line))
    return "".join([*opening, f"<p>{words}</p>" if words else "", *ending])


def _text(body: str) -> str:
    """The blocks as plain text: a button is its label and the address."""
    lines = [_BUTTON.sub(r"\1:\n\2", line) for line in body.strip("\n").split("\n")]
    return "\n".join(lines) + "\n"


def _source(kind: str, language: str) -> str:
    if not kind.isidentifier():  # it becomes a path
        raise UnknownKind(f"kind must be a mail with templates, got {kind!r}")
    try:
        return _read(language, f"{kind}.txt")
    except FileNotFoundError:
        raise UnknownKind(f"kind must be a mail with templates, got {kind!r}") from None


def _read(*path: str) -> str:
    return files("taskhub.mail").joinpath("templates", *path).read_text(encoding="utf-8")


@cache
def _environment(*, autoescape: bool) -> Environment:
    return Environment(
        autoescape=autoescape,  # noqa: S701 - what stands in a plain text must not be escaped, all else is
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


@cache
def _inliner() -> CSSInliner:
    # The style tag stays as well: mail clients on phones use its @media rules.
    return CSSInliner(keep_style_tags=True, load_remote_stylesheets=False)
