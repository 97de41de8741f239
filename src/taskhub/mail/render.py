"""A mail's subject and its two bodies, from the template of its kind and language."""

from dataclasses import dataclass
from typing import Any

from taskhub.accounts.models import Language
from taskhub.mail.layout import UnknownKind, layout
from taskhub.settings import Settings

__all__ = ["Brand", "Rendered", "UnknownKind", "render"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Brand:
    """Whose mails they are: a name, a colour as #rrggbb, a logo's address, a line for the end."""

    name: str = "taskhub"
    home: str = "http://localhost:8000"
    color: str = "#1f5fbf"
    logo: str = ""
    footer: str = ""

    @classmethod
    def of(cls, settings: Settings) -> "Brand":
        """What the settings say."""
        return cls(
            name=settings.mail_brand,
            home=settings.mail_link_base.rstrip("/"),
            color=settings.mail_brand_color,
            logo=settings.mail_logo_url or "",
            footer=settings.mail_footer or "",
        )


@dataclass(frozen=True, slots=True)
class Rendered:
    """One mail as it is sent: `subject` is one line, `html` has its styles at the elements."""

    subject: str
    text: str
    html: str


def render(kind: str, language: str, brand: Brand, **values: Any) -> Rendered:
    """The mail in `language`, or in English where we do not write that language.

    Raises:
        UnknownKind: no such mail.
        jinja2.UndefinedError: a value that its templates use is missing.
    """
    if language not in tuple(Language):
        language = Language.en_us
    found = layout(kind, str(language), brand.color)
    values |= {
        "language": str(language),
        "brand": brand.name,
        "home": brand.home,
        "logo": brand.logo,
        "footer": brand.footer,
    }
    return Rendered(
        subject=" ".join(found.subject.render(values).split()),
        text=found.text.render(values),
        html=found.html.render(values),
    )
