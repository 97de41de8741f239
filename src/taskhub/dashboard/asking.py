"""What a page's address asks for: where it begins, what it leaves out."""

from __future__ import annotations

from collections.abc import Iterable

from starlette.exceptions import HTTPException

from taskhub.dashboard.visit import Visit

LARGEST = 2**63 - 1


def number(visit: Visit, name: str) -> int | None:
    """A whole number of the address's query; None where there is none that an id can be."""
    text = visit.asked(name)
    digits = text.removeprefix("-")
    if not digits.isascii() or not digits.isdecimal() or abs(int(digits[:20])) > LARGEST:
        return None
    return int(text)


def choice(visit: Visit, name: str, known: Iterable[str]) -> str | None:
    """One of the words that are known; None for any other."""
    text = visit.asked(name)
    return text if text in set(known) else None


def part(visit: Visit, name: str) -> int:
    """The id that stands in the address's path.

    Raises:
        HTTPException: it is none that anything can have.
    """
    value: int = visit.request.path_params[name]
    if value > LARGEST:
        raise HTTPException(404, visit.translate("It is not here"))
    return value
