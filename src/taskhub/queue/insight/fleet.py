"""Who works, and what was noticed of runs that overlapped."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from taskhub.queue.insight import asking
from taskhub.queue.states import Overlaps, WorkerState

if TYPE_CHECKING:
    from taskhub.queue.hub import Hub


def workers(
    hub: Hub, *, stopped: bool = False, ids: Sequence[int] | None = None, limit: int = 200
) -> list[WorkerState]:
    """Workers that are live or lost, the newest first; with `stopped` also those of the past.

    With `ids` just these, whether they live or not.
    """
    asked = list(ids) if ids is not None else None
    found = asking.rows(hub, "list_workers", stopped=stopped, ids=asked, limit=limit)
    return [WorkerState(**row) for row in found]


def overlaps(hub: Hub, *, seconds: float = 86_400.0) -> Overlaps:
    """What was noticed of overlapping runs within so many seconds."""
    [row] = asking.rows(hub, "count_overlaps", seconds=seconds)
    return Overlaps(**row)
