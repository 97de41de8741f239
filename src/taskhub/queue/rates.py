"""How fast the jobs of a key start, and what holds them back when its provider is in trouble."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

PERIODS = {"per_second": 1.0, "per_minute": 60.0, "per_hour": 3600.0, "per_day": 86400.0}
MOST_TOKENS = 2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """Hold a key when its jobs fail one after the other, and try it again with a single one.

    Args:
        failures: so many failures of the key's jobs open it; what a task raises on purpose (Fail, Retry,
            Snooze, Throttled) is none.
        within: of the last so many seconds.
        hold: seconds before one job tries whether it works again. A failure of that one doubles the
            time, up to ten times this; its success closes the breaker.
    """

    failures: int = 5
    within: float | timedelta = 60.0
    hold: float | timedelta = 30.0

    def __post_init__(self) -> None:
        if type(self.failures) is not int or not 1 <= self.failures <= MOST_TOKENS:
            raise ValueError(f"failures must be a whole number above 0, got {self.failures!r}")
        for what, value in (("within", self.within), ("hold", self.hold)):
            if not 0 < _seconds(value) < math.inf:
                raise ValueError(f"{what} must be above 0 and finite, got {value!r}")

    def told(self) -> dict[str, float]:
        """Its part of what rule_v1 takes."""
        return {
            "breaker_failures": self.failures,
            "breaker_within": _seconds(self.within),
            "breaker_hold": _seconds(self.hold),
        }


def rate_of(given: Mapping[str, float | None], burst: float | None) -> dict[str, float]:
    """What was said by per_second and the like, as rule_v1 takes it: tokens a second, and the burst.

    Without `burst` a bucket holds what comes in one second, and one token at least.

    Raises:
        TypeError: two periods are given, or a burst without one.
        ValueError: a number cannot be.
    """
    said = {period: amount for period, amount in given.items() if amount is not None}
    if not said:
        if burst is not None:
            raise TypeError("burst must go with a rate, for one per_minute=")
        return {}
    if len(said) > 1:
        raise TypeError(f"give one of {', '.join(PERIODS)}, got {', '.join(said)}")
    [(period, amount)] = said.items()
    rate = _checked(amount, period) / PERIODS[period]
    if burst is None:
        return {"rate": rate, "burst": max(1.0, rate)}
    if _checked(burst, "burst") < 1:
        raise ValueError(f"burst must be 1 or more, got {burst!r}")
    return {"rate": rate, "burst": float(burst)}


def check_tokens(tokens: Any) -> int:
    """`tokens`, if a job can take so many.

    Raises:
        ValueError: it cannot.
    """
    if type(tokens) is not int or not 1 <= tokens <= MOST_TOKENS:
        raise ValueError(f"tokens must be a whole number from 1 to {MOST_TOKENS}, got {tokens!r}")
    return tokens


def read_tokens(text: str) -> int:
    """The tokens of one job, from a template that has its arguments in it.

    Raises:
        ValueError: it comes to no number that can be.
    """
    return check_tokens(int(text) if text.isascii() and text.isdigit() else text)


def _checked(value: Any, what: str) -> float:
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not 0 < value <= MOST_TOKENS
    ):
        raise ValueError(f"{what} must be a number above 0, got {value!r}")
    return float(value)


def _seconds(value: float | timedelta) -> float:
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"seconds must be a number or a timedelta, got {value!r}")
    return float(value)
