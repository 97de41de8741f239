"""Jobs that match, page by page."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from taskhub.queue.filters import JobFilter
from taskhub.queue.insight import asking
from taskhub.queue.states import JobLine, Page

if TYPE_CHECKING:
    from taskhub.queue.hub import Hub

# A page is looked for in the newest ids first, then in ever more of the older ones at once.
FIRST_IDS = 20_000
QUICK_SECONDS = 0.1


def jobs(
    hub: Hub,
    wanted: JobFilter | None = None,
    *,
    limit: int = 50,
    before_id: int | None = None,
) -> list[JobLine]:
    """Jobs that match, newest first, waiting ones and succeeded ones in one list: a page's jobs."""
    return page(hub, wanted, limit=limit, before_id=before_id).jobs


def running(hub: Hub, *, limit: int = 50) -> list[JobLine]:
    """Jobs that run, the longest first, without the errors of earlier attempts."""
    return [JobLine(**row) for row in asking.rows(hub, "list_running", limit=limit)]


def page(
    hub: Hub,
    wanted: JobFilter | None = None,
    *,
    limit: int = 50,
    before_id: int | None = None,
    seconds: float = 5.0,
) -> Page:
    """The next jobs that match, newest first, waiting ones and succeeded ones in one list.

    Stops looking after about `seconds`, however much history is left.
    """
    asked = (wanted or JobFilter()).parameters()
    [ids] = asking.rows(hub, "read_id_range")
    if ids["highest_id"] is None:
        return Page([], None)
    end_id = min(before_id or ids["highest_id"] + 1, ids["highest_id"] + 1)
    found: list[JobLine] = []
    width, deadline = FIRST_IDS, time.monotonic() + seconds
    while len(found) < limit and end_id > ids["lowest_id"]:
        began = time.monotonic()
        if began >= deadline:
            break
        from_id, left = max(end_id - width, 0), limit - len(found)
        rows = asking.rows(hub, "list_jobs", **asked, limit=left, from_id=from_id, before_id=end_id)
        found += [JobLine(**row) for row in rows]
        end_id = from_id if len(found) < limit else found[-1].id
        # A job never changes its id, so one that moves to the history meanwhile is met once.
        width = width * 4 if time.monotonic() - began < QUICK_SECONDS else max(width // 4, 1000)
    return Page(found, end_id if end_id > ids["lowest_id"] else None)
