"""A mail's subject and its two bodies, from the templates of its kind and language."""

from dataclasses import dataclass
from functools import cache
from typing import Any

from css_inline import CSSInliner
from jinja2 import Environment, PackageLoader, StrictUndefined, TemplateNotFound, select_autoescape

from taskhub.mail.accounts import Language


class UnknownKind(ValueError):
    """There is no template for a mail of this kind."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """One mail as it is sent: `subject` is one line, `html` has its styles at the elements."""

    subject: str
    text: str
    html: str


def render(kind: str, language: str, **values: Any) -> Rendered:
    """The mail in `language`, or in English where we do not write that language.

    Raises:
        UnknownKind: no such mail.
        jinja2.UndefinedError: a value that its templates use is missing.
    """
    if language not in tuple(Language):
        language = Language.en_us
    try:
        subject, text, html = (
            _templates().get_template(f"{language}/{kind}.{part}")
            for part in ("subject.txt", "txt", "html")
        )
    except TemplateNotFound:
        raise UnknownKind(f"kind must be a mail with templates, got {kind!r}") from None
    values |= {"language": str(language)}
    return Rendered(
        subject=" ".join(subject.render(values).split()),
        text=text.render(values),
        html=_inliner().inline(html.render(values)),
    )


@cache
def _templates() -> Environment:
    return Environment(
        loader=PackageLoader("taskhub.mail"),
        # What stands in a plain text must not be escaped, all else must.
        autoescape=select_autoescape(disabled_extensions=("txt",), default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def _inliner() -> CSSInliner:
    # The style tag stays as well: mail clients on phones use its @media rules.
    return CSSInliner(keep_style_tags=True, load_remote_stylesheets=False)
