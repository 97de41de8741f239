"""Schedules in words."""

from __future__ import annotations

from datetime import timedelta
from functools import lru_cache
from typing import Literal

from babel.dates import format_timedelta, get_day_names, get_month_names

from taskhub.dashboard import words
from taskhub.queue.schedules import Every, parse

_LOCALES = {"en": "en_US", "zh-CN": "zh_CN"}
_UNITS: tuple[tuple[Literal["day", "hour", "minute", "second"], int], ...] = (
    ("day", 86_400),
    ("hour", 3600),
    ("minute", 60),
    ("second", 1),
)
_ALIASES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}


@lru_cache(maxsize=1000)
def schedule_in_words(expression: str, language: str) -> str:
    """When it is due, as people say it; empty where nobody could say it better than the expression."""
    schedule = parse(expression, "UTC")
    if isinstance(schedule, Every):
        return _interval(schedule.interval, language)
    return _cron(schedule.text, language)


def _interval(interval: timedelta, language: str) -> str:
    seconds = int(interval.total_seconds())
    unit = next(name for name, step in _UNITS if seconds % step == 0)
    locale = words.locale(language)
    told = format_timedelta(interval, granularity=unit, threshold=seconds + 1, locale=locale)
    return words.translations(language).gettext(words.mark("every %(time)s")) % {"time": told}


def _cron(expression: str, language: str) -> str:
    from cron_descriptor import (  # type: ignore[import-untyped]  # it ships no types
        ExpressionDescriptor,
        FormatError,
        MissingFieldError,
        Options,
    )

    fields = _ALIASES.get(expression.lower(), expression).split()
    if len(fields) == 6:
        # Ours have the seconds last, the library reads them first.
        fields = [fields[-1], *fields[:-1]]
    options = Options()
    options.locale_code = _LOCALES[language]
    options.use_24hour_time_format = True
    options.day_of_week_start_index_zero = True
    try:
        told = str(ExpressionDescriptor(" ".join(fields), options).get_full_description())
    except (FormatError, MissingFieldError, ValueError):
        return ""
    return told if language == "en" else _with_names(told, language)


def _with_names(told: str, language: str) -> str:
    """The names of days and months too: cron-descriptor 2.2 takes them from the process's locale."""
    locale = words.locale(language)
    for names in (get_day_names, get_month_names):
        theirs = names("wide", locale=locale)
        for number, name in names("wide", locale="en").items():
            told = told.replace(name, theirs[number])
    return told
