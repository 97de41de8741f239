"""Names that are in use, for completion at the keyboard and for hints at what was mistyped."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

from taskhub.queue.insight import asking

if TYPE_CHECKING:
    from taskhub.queue.hub import Hub

Kind = Literal["queue", "task", "key"]
MOST_NAMES = 2000


def known(hub: Hub, *, limit: int = MOST_NAMES) -> dict[Kind, list[str]]:
    """The names of queues, tasks and limit keys that the newest jobs and workers have, by name.

    Reads a bounded number of rows; what only older jobs have is not among them.
    """
    found: dict[Kind, list[str]] = {"queue": [], "task": [], "key": []}
    for row in asking.rows(hub, "list_names", limit=limit):
        found[row["kind"]].append(row["name"])
    return found


def nearest(name: str, among: Iterable[str]) -> str | None:
    """The name that was probably meant, or None."""
    return next(iter(difflib.get_close_matches(name, list(among), n=1)), None)
