"""How numbers, times and sizes are written, each in the reader's language."""

from datetime import UTC, datetime
from typing import Any, Literal

from babel import Locale
from babel.dates import format_datetime, format_timedelta
from babel.numbers import format_compact_decimal, format_decimal, format_percent
from babel.units import format_unit
from jinja2 import Environment
from markupsafe import Markup

# From here on a number is written as "1.2M", with the exact one in its title.
COMPACT_FROM = 100_000
_STEPS = (
    (1e-3, "millisecond"),
    (1.0, "second"),
    (60.0, "minute"),
    (3600.0, "hour"),
    (86_400.0, "day"),
)
_BYTES = ((1, "byte"), (1 << 10, "kilobyte"), (1 << 20, "megabyte"), (1 << 30, "gigabyte"))


class Writer:
    """The filters of the templates."""

    def __init__(self, locale: Locale) -> None:
        self._locale = locale

    def install(self, environment: Environment) -> None:
        """Make them known to the templates."""
        for name in ("number", "short", "percent", "duration", "ago", "size"):
            environment.filters[name] = getattr(self, name)

    def number(self, value: float | None) -> str:
        """A number with its separators; a dash for None."""
        return "–" if value is None else format_decimal(value, locale=self._locale)

    def short(self, value: int | None) -> Markup | str:
        """A count in a few characters, with the exact one in its title."""
        if value is None or abs(value) < COMPACT_FROM:
            return self.number(value)
        compact = format_compact_decimal(value, locale=self._locale, fraction_digits=1)
        return Markup('<span title="{}">{}</span>').format(self.number(value), compact)

    def percent(self, share: float | None) -> str:
        """A share of 1 as a percentage."""
        if share is None:
            return "–"
        return format_percent(share, "#,##0.#%" if share < 0.1 else "#,##0%", locale=self._locale)

    def duration(self, seconds: float | None) -> str:
        """So many seconds in the unit that fits."""
        if seconds is None:
            return "–"
        size, unit = _STEPS[0]
        for step in _STEPS:
            if abs(seconds) >= step[0]:
                size, unit = step
        value = seconds / size
        shown = round(value, 1) if value < 10 and unit != "millisecond" else round(value)
        # Babel 2.18 has the narrow words of English and lacks those of Chinese.
        length: Literal["narrow", "short"] = "narrow" if self._locale.language == "en" else "short"
        return format_unit(shown, f"duration-{unit}", length=length, locale=self._locale)

    def ago(self, moment: datetime | None) -> Markup | str:
        """How long ago or ahead, with the exact time in UTC in its title."""
        if moment is None:
            return "–"
        moment = moment.astimezone(UTC)
        told = format_timedelta(
            moment - datetime.now(UTC), add_direction=True, locale=self._locale, threshold=1.2
        )
        exact = f"{format_datetime(moment, 'yyyy-MM-dd HH:mm:ss', locale='en')} UTC"
        return Markup('<time datetime="{}" title="{}">{}</time>').format(
            moment.isoformat(), exact, told
        )

    def size(self, count: float | None) -> str:
        """So many bytes in the unit that fits."""
        if count is None:
            return "–"
        step, unit = _BYTES[0]
        for one in _BYTES:
            if count >= one[0]:
                step, unit = one
        value: Any = (
            round(count / step, 1) if count / step < 10 and step > 1 else round(count / step)
        )
        return format_unit(value, f"digital-{unit}", length="short", locale=self._locale)
