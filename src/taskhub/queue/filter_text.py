"""A filter of jobs as people type it, and back: `state:failed queue:mail args.document_id:42 -task:mail_*`.

Words stand side by side and all must fit; commas between values, and one name said twice, mean any of
them; a minus before a word leaves out what fits it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from taskhub.queue.filters import JobFilter

STATES = ("todo", "doing", "succeeded", "failed", "cancelled", "aborted")
# What is typed, and the field of JobFilter it goes to.
_LISTS = {
    "state": "statuses",
    "queue": "queues",
    "task": "tasks",
    "id": "ids",
    "lock": "locks",
    "worker": "workers",
}
_ONCE = ("error", "fingerprint", "since", "until")
_SHORT = {"tenant": "args.tenant_id", "batch": "args.batch_id"}
KNOWN = (*_LISTS, *_ONCE, "args.NAME", *_SHORT)
_NAME = re.compile(r"(-?)([A-Za-z_][\w.-]*):")
_BARE = re.compile(r'[^\s",]+')
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_SPAN = re.compile(r"(\d+(?:\.\d+)?)([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class BadFilter(ValueError):
    """What was typed is no filter.

    Attributes:
        place: where, counted from 0.
    """

    def __init__(self, message: str, text: str, place: int) -> None:
        super().__init__(f"{message}, at character {place + 1} of {text!r}")
        self.place = place


class _Word(NamedTuple):
    place: int
    is_without: bool
    name: str
    values: list[str]


def parse(text: str) -> JobFilter:
    """The filter that a text means; an empty one means all jobs.

    Raises:
        BadFilter: a name, or a value of it, is none that is known; it says where.
    """
    sides: tuple[dict[str, Any], dict[str, Any]] = ({}, {})
    for word in _words(text):
        _take(sides[word.is_without], word, text)
    wanted, without = ({k: _frozen(v) for k, v in side.items()} for side in sides)
    try:
        return JobFilter(**wanted, without=JobFilter(**without) if without else None)
    except ValueError as error:
        raise BadFilter(str(error), text, 0) from None


def format_filter(wanted: JobFilter) -> str:
    """The text that `parse` makes this filter of; one filter has one text."""
    words = [*_formatted(wanted, "")]
    if wanted.without is not None:
        words += _formatted(wanted.without, "-")
    return " ".join(words)


def read_moment(value: str) -> datetime | timedelta:
    """30s, 10m, 2h, 1d as a span, or an ISO time; one without a zone is of this machine's.

    Raises:
        ValueError: it is neither.
    """
    if found := _SPAN.fullmatch(value):
        return timedelta(**{_UNITS[found[2]]: float(found[1])})
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        raise ValueError(f"must be like 30m, 2h, 1d or an ISO time, got {value!r}") from None
    return at if at.tzinfo is not None else at.astimezone()


def _words(text: str) -> Iterator[_Word]:
    place = 0
    while place < len(text):
        if text[place].isspace():
            place += 1
            continue
        found = _NAME.match(text, place)
        if found is None:
            raise BadFilter(
                f"a filter must be of words like state:failed, known are {', '.join(KNOWN)}",
                text, place,
            )  # fmt: skip
        begin, place = place, found.end()
        values = []
        while True:
            value, place = _value(text, place, found[2])
            values.append(value)
            if text[place : place + 1] != ",":
                break
            place += 1
        if place < len(text) and not text[place].isspace():
            raise BadFilter("a value must end with a space or a comma", text, place)
        yield _Word(begin, bool(found[1]), found[2], values)


def _value(text: str, place: int, name: str) -> tuple[str, int]:
    if quoted := _QUOTED.match(text, place):
        return re.sub(r"\\(.)", r"\1", quoted[1], flags=re.DOTALL), quoted.end()
    if text[place : place + 1] == '"':
        raise BadFilter('a quoted value must end with "', text, place)
    if bare := _BARE.match(text, place):
        return bare[0], bare.end()
    raise BadFilter(f"{name} must have a value", text, place)


def _take(side: dict[str, Any], word: _Word, text: str) -> None:
    name = _SHORT.get(word.name, word.name)
    try:
        if name.startswith("args."):
            _take_argument(side, name.removeprefix("args."), word.values)
        elif name in _LISTS:
            values = [_read(name, value) for value in word.values]
            side.setdefault(_LISTS[name], []).extend(values)
        elif name in _ONCE:
            _take_once(side, name, word)
        else:
            near = difflib.get_close_matches(name, KNOWN, n=1)
            hint = f"did you mean {near[0]}? known are " if near else "known are "
            raise ValueError(f"{name!r} is no word of a filter; {hint}{', '.join(KNOWN)}")
    except ValueError as error:
        raise BadFilter(str(error), text, word.place) from None


def _take_argument(side: dict[str, Any], path: str, values: list[str]) -> None:
    if not path or "" in path.split("."):
        raise ValueError("args must be followed by a name: args.document_id:42")
    if len(values) > 1:
        raise ValueError(f"args.{path} must have one value, got {len(values)}")
    side.setdefault("args", []).append((path, values[0]))


def _take_once(side: dict[str, Any], name: str, word: _Word) -> None:
    if name in side or len(word.values) > 1:
        raise ValueError(f"{name} must be said once")
    [value] = word.values
    if name not in ("since", "until"):
        side[name] = value
    elif word.is_without:
        raise ValueError(
            f"{name} must be without a minus; say {'until' if name == 'since' else 'since'}"
        )
    else:
        try:
            side[name] = read_moment(value)
        except (ValueError, OverflowError) as error:
            raise ValueError(f"{name} {error}") from None


def _read(name: str, value: str) -> str | int:
    if name == "state" and value not in STATES:
        raise ValueError(f"state must be one of {', '.join(STATES)}, got {value!r}")
    if name not in ("id", "worker"):
        return value
    if not re.fullmatch(r"[0-9]{1,18}", value):
        raise ValueError(f"{name} must be a whole number, got {value!r}")
    return int(value)


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _formatted(wanted: JobFilter, sign: str) -> Iterator[str]:
    for name, attribute in _LISTS.items():
        if values := getattr(wanted, attribute):
            yield f"{sign}{name}:{','.join(_quoted(str(value)) for value in values)}"
    for name in _ONCE:
        value = getattr(wanted, name)
        if isinstance(value, datetime | timedelta):
            value = value.isoformat() if isinstance(value, datetime) else _span(value)
        if value is not None:
            yield f"{sign}{name}:{_quoted(value)}"
    for path, value in wanted.args:
        yield f"{sign}args.{path}:{_quoted(value)}"


def _quoted(value: str) -> str:
    if _BARE.fullmatch(value):
        return value
    return '"' + re.sub(r'(["\\])', r"\\\1", value) + '"'


def _span(span: timedelta) -> str:
    seconds = span.days * 86_400 + span.seconds
    if span.microseconds:
        return f"{seconds}.{span.microseconds:06}".rstrip("0") + "s"
    for unit, of in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds and seconds % of == 0:
            return f"{seconds // of}{unit}"
    return f"{seconds}s"
