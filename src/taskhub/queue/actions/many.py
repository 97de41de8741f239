"""Retry and cancel of all that was frozen, a thousand a transaction, with one row in the audit."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from taskhub.queue import audit, filter_text
from taskhub.queue.actions.chosen import NOW, Spread, cancel_within, retry_chunk
from taskhub.queue.actions.frozen import Frozen, freeze
from taskhub.queue.filters import JobFilter

if TYPE_CHECKING:
    from taskhub.queue.hub import Hub

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Done:
    """What a change came to: `matched` jobs were looked at, `changed` were changed."""

    matched: int
    changed: int


def retry_frozen(
    hub: Hub,
    frozen: Frozen,
    *,
    by: audit.By | None = None,
    jobs_per_second: float | None = None,
    progress: Progress | None = None,
) -> Done:
    """Let the jobs wait again as if new, the oldest first.

    None is taken twice, so a job that fails again while this runs does not come round. `progress`
    hears the number so far after each thousand. With `jobs_per_second` they are not all ready at
    once: each waits for a date of its own, spaced so, on the database's clock.

    Raises:
        ValueError: jobs_per_second is not above 0 and finite, or they were frozen for another change.
    """
    _check(frozen, "retry")
    spread = _spread(hub, jobs_per_second)

    def chunk(ids: list[int], done: Done) -> int:
        paced = replace(spread, placed_before=done.changed)
        retried = retry_chunk(hub, ids, paced, statuses=frozen.wanted.statuses)
        return sum(r.outcome == "retried" for r in retried)

    return _each(hub, frozen, chunk, by, progress)


def cancel_frozen(
    hub: Hub,
    frozen: Frozen,
    *,
    reason: str = "",
    by: audit.By | None = None,
    progress: Progress | None = None,
) -> Done:
    """Cancel the jobs that wait, ask those that run to stop; `reason` goes to their history.

    Raises:
        ValueError: they were frozen for another change.
    """
    _check(frozen, "cancel")

    def chunk(ids: list[int], _done: Done) -> int:
        with hub.transaction() as session:
            return len(cancel_within(session, hub, ids, reason=reason))

    return _each(hub, frozen, chunk, by, progress)


def retry_failed(
    hub: Hub,
    wanted: JobFilter,
    *,
    limit: int | None = None,
    dry_run: bool = False,
    jobs_per_second: float | None = None,
    progress: Progress | None = None,
) -> int:
    """Let failed jobs that match now wait again; how many did, or would. As `retry_frozen`."""
    _spread(hub, jobs_per_second)
    frozen = freeze(hub, replace(wanted, statuses=("failed",)), limit=limit)
    if dry_run:
        return frozen.count
    return retry_frozen(hub, frozen, jobs_per_second=jobs_per_second, progress=progress).changed


def _each(
    hub: Hub,
    frozen: Frozen,
    change: Callable[[list[int], Done], int],
    by: audit.By | None,
    progress: Progress | None,
) -> Done:
    target = {"filter": filter_text.format_filter(frozen.wanted), "up_to_id": frozen.up_to_id}
    if frozen.limit is not None:
        target["limit"] = frozen.limit
    done = Done(0, 0)
    action = "retry-failed" if frozen.change == "retry" else "cancel"
    with audit.entry(hub, by, action, target, frozen.count) as entry:
        for ids in frozen.ids(hub):
            done = Done(done.matched + len(ids), done.changed + change(ids, done))
            entry.changed = done.changed
            if progress is not None:
                progress(done.changed)
        entry.matched, entry.changed = done.matched, done.changed
    return done


def _check(frozen: Frozen, change: str) -> None:
    if frozen.change != change:
        raise ValueError(f"jobs must be frozen for {change!r}, got {frozen.change!r}")


def _spread(hub: Hub, jobs_per_second: float | None) -> Spread:
    if jobs_per_second is None:
        return NOW
    if not 0 < jobs_per_second < math.inf:
        raise ValueError(f"jobs_per_second must be above 0 and finite, got {jobs_per_second}")
    [clock] = hub.read("read_clock")
    return Spread(clock["now"], 1 / jobs_per_second)
