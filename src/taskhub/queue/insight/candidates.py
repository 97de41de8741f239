"""Where an index knows which few jobs a filter can fit, so that nobody reads the others."""

from __future__ import annotations

import bisect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from taskhub.queue.filters import JobFilter
from taskhub.queue.insight import asking

if TYPE_CHECKING:
    from taskhub.queue.hub import Hub

# The next ids below one, the highest first, at most so many.
Candidates = Callable[[int, int], list[int]]
ENDED = frozenset({"failed", "cancelled", "aborted"})


def of(hub: Hub, wanted: JobFilter) -> Candidates | None:
    """Who can say which jobs may fit; None: nobody, they are looked for by their ids."""
    if wanted.ids:
        return _given(sorted(set(wanted.ids)))
    for name, value in wanted.args:
        [kept] = asking.rows(hub, "is_indexed_arg", name=name)
        if kept["is_indexed"]:
            return _asked(hub, "ids_by_argument", name=name, value=value)
    states = set(wanted.statuses)
    if states and states <= ENDED:
        asked = wanted.parameters()
        return _asked(
            hub, "ended_ids", statuses=list(states), queues=asked["queues"], tasks=asked["tasks"]
        )
    if states == {"succeeded"}:
        return _asked(hub, "succeeded_ids")
    if states == {"doing"}:
        return _asked(hub, "running_ids")
    return None


def _given(ids: list[int]) -> Candidates:
    def below(before_id: int, most: int) -> list[int]:
        end = bisect.bisect_left(ids, before_id)
        return ids[max(0, end - most) : end][::-1]

    return below


def _asked(hub: Hub, statement: str, **parameters: Any) -> Candidates:
    def below(before_id: int, most: int) -> list[int]:
        rows = asking.rows(hub, statement, **parameters, before_id=before_id, limit=most)
        return [row["id"] for row in rows]

    return below
