"""Times, spans and names as a sentence has them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

# What is to come where nothing is in a job's way any more.
NEXT_ROUND = "the next round of a worker lets it go on"


def span(seconds: float | None) -> str:
    """A time span in its largest unit."""
    if seconds is None:
        return ""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{max(seconds, 0):.1f} s"


def moment(at: datetime, now: datetime) -> str:
    """A time in UTC, and how far it is from now."""
    seconds = (now - at).total_seconds()
    far = f"{span(seconds)} ago" if seconds >= 0 else f"in {span(-seconds)}"
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC ({far})"


def counted(number: int, word: str, *, most: int | None = None) -> str:
    """`3 jobs`, `1 job`, or `more than 10,000 jobs` where counting stopped at `most`."""
    if most is not None and number > most:
        return f"more than {most:,} {word}s"
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"


def amount(number: float) -> str:
    """Tokens as people write them: `12`, `0.25`, `12,000`."""
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"


def pace(per_second: float, word: str = "jobs") -> str:
    """`12 jobs/s`, or by the minute or the hour where it is slow."""
    for unit, seconds in (("s", 1), ("min", 60), ("h", 3600), ("d", 86400)):
        if per_second * seconds >= 1 or unit == "d":
            return f"{per_second * seconds:.0f} {word}/{unit}"
    raise AssertionError("the last unit takes all")


def listed(ids: Sequence[Any], total: int) -> str:
    """The ids, and how many there are that are not among them."""
    told = ", ".join(map(str, ids))
    return told if total <= len(ids) else f"{told} and {total - len(ids):,} more"


def quoted(text: str | None) -> str:
    """What somebody gave as a reason, in brackets behind the fact; nothing if there is none."""
    return f" ({one_line(text)})" if text else ""


def one_line(text: str | None, most: int = 200) -> str:
    """The text on one line, cut where it is long."""
    line = " ".join((text or "").split())
    return line if len(line) <= most else f"{line[:most]}…"
