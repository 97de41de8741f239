"""Locks that keep the order of the ids: what `strict=` stands for."""

from collections.abc import Mapping
from typing import Any


def check_strict(options: Mapping[str, Any]) -> bool | None:
    """Whether the jobs of the lock keep their order; None is no.

    Raises:
        TypeError: it is no bool.
        ValueError: there is no lock whose order could be kept.
    """
    value = options.get("strict")
    if value is None:
        return None
    if not isinstance(value, bool):
        raise TypeError(f"strict must be True or False, got {value!r:.100}")
    if value and not options.get("lock"):
        raise ValueError("strict must go with lock, got no lock")
    return value or None
