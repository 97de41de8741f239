"""The words of the dashboard in every language it speaks, compiled from the .po files when first asked."""

import gettext
import io
from functools import cache
from importlib import resources

from babel import Locale, negotiate_locale
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

# As a page's lang attribute says them, the first where nothing fits.
LANGUAGES = {"en": "English", "zh-CN": "简体中文"}
_LOCALES = {"en": "en", "zh-CN": "zh_CN"}


def mark(text: str) -> str:
    """`text` itself; says to whoever collects the words that it is shown to people."""
    return text


def choose(accepted: str) -> str:
    """The language for what a browser says it accepts, as in Accept-Language."""
    wanted: list[tuple[float, int, str]] = []
    for part in accepted.split(","):
        name, _, quality = part.strip().partition(";q=")
        try:
            wanted.append((-float(quality or 1), len(wanted), name.strip()))
        except ValueError:
            continue
    for _, _, name in sorted(wanted):
        if name.lower().startswith("zh"):
            return "zh-CN"
        if negotiate_locale([name.replace("-", "_")], ["en"]):
            return "en"
    return "en"


def locale(language: str) -> Locale:
    """How numbers and dates are written in a language."""
    return Locale.parse(_LOCALES[language])


@cache
def translations(language: str) -> gettext.NullTranslations:
    """The words of a language; those of the source are English."""
    name = _LOCALES[language]
    folder = resources.files(__package__).joinpath("locale", name)
    if not folder.is_dir():
        return gettext.NullTranslations()
    merged = Catalog(locale=name)
    for file in sorted(folder.iterdir(), key=lambda f: f.name):
        if file.name.endswith(".po"):
            with file.open("rb") as opened:
                for message in read_po(opened, locale=name):
                    if message.id:
                        merged[message.id] = message
    compiled = io.BytesIO()
    write_mo(compiled, merged)
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)
