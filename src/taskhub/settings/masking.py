"""Settings and texts that hold them, as they may be shown: without what is secret."""

import dataclasses
import re
from dataclasses import dataclass

from taskhub.settings.every import SECRETS, Settings

_PASSWORD = re.compile(r"(://[^:/@\s]*):[^@\s]*@|((?:password|sslpassword)=)[^&\s'\"]+")


@dataclass(frozen=True, slots=True)
class ShownSetting:
    """One setting with the place its value came from; stars for a secret one."""

    name: str
    value: str
    source: str


def masked(text: str) -> str:
    """`text` without the passwords of the urls in it."""
    return _PASSWORD.sub(lambda m: f"{m[1]}:***@" if m[1] is not None else f"{m[2]}***", text)


def shown(settings: Settings) -> list[ShownSetting]:
    """Every setting; a value that is not given is empty."""
    rows = []
    for field in dataclasses.fields(settings):
        if field.name == "sources":
            continue
        value = getattr(settings, field.name)
        text = "***" if field.name in SECRETS and value is not None else masked(_text(value))
        source = settings.sources.get(field.name, "default")
        rows.append(ShownSetting(field.name, text, source))
    return rows


def _text(value: object) -> str:
    return "" if value is None else str(value)
