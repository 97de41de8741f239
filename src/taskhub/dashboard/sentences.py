"""Whole sentences filled with facts, in the visitor's language."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from markupsafe import Markup

from taskhub.dashboard import words
from taskhub.dashboard.writing import Writer

MOST_LETTERS = 200


def filled(choices: Iterable[str], facts: Mapping[str, Any], language: str) -> Markup | None:
    """The first of the sentences, marked by `words.mark`, whose %(facts)s are all known; None: none is.

    A fact that is None is not known. Facts are escaped. A name tells how its number is written: seconds_…
    is a time span, share a percentage, …id an id.
    """
    writer = Writer(words.locale(language))
    shown = {key: _shown(key, value, writer) for key, value in facts.items() if value is not None}
    for sentence in choices:
        told = Markup(words.translations(language).gettext(sentence))  # noqa: S704 - the catalogue's own words
        try:
            return told % shown
        except KeyError:
            continue
    return None


def _shown(key: str, value: Any, writer: Writer) -> Any:
    if isinstance(value, datetime):
        return writer.ago(value)
    if key.startswith("seconds_"):
        return writer.duration(value)
    if key == "share":
        return writer.percent(value)
    if isinstance(value, int | float) and not key.endswith("id"):
        return writer.number(round(value, 2))
    line = " ".join(str(value).split())
    return line if len(line) <= MOST_LETTERS else f"{line[:MOST_LETTERS]}…"
