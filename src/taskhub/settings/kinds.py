"""Kinds of settings: what a value may be is said where the setting is."""

import dataclasses
import math
from collections.abc import Collection
from dataclasses import field
from typing import Any


class BadSetting(ValueError):
    """A setting has a name or a value that taskhub cannot use; the message names its place."""


def number(
    default: float,
    *,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float = math.inf,
) -> Any:
    """A field for a finite number within these bounds."""
    return field(default=default, metadata={"bounds": (at_least, above, at_most)})


def choice(default: str, among: Collection[str]) -> Any:
    """A field for one of a few words."""
    return field(default=default, metadata={"among": tuple(among)})


def check(settings: Any) -> None:
    """Refuse a value that its field does not allow.

    Raises:
        BadSetting: it names the setting, what it may be, and what it is.
    """
    for setting in dataclasses.fields(settings):
        value = getattr(settings, setting.name)
        if "bounds" in setting.metadata:
            _check_number(setting.name, value, *setting.metadata["bounds"])
        elif "among" in setting.metadata and value not in setting.metadata["among"]:
            *others, last = setting.metadata["among"]
            raise BadSetting(f"{setting.name} must be {', '.join(others)} or {last}, got {value!r}")


def _check_number(
    name: str, value: float, at_least: float | None, above: float | None, at_most: float
) -> None:
    # Turned around, it would let nan pass, which compares with nothing.
    high_enough = value >= at_least if at_least is not None else above is None or value > above
    if high_enough and value <= at_most and value < math.inf:
        return
    lowest = f"{at_least:g} or more" if at_least is not None else f"above {above or 0:g}"
    if at_most < math.inf:
        highest = f" and at most {at_most:g}"
    else:
        highest = "" if isinstance(value, int) and at_least == 1 else " and finite"
    raise BadSetting(f"{name} must be {lowest}{highest}, got {value}")
