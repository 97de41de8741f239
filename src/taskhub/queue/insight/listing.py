"""Jobs that match, page by page."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from taskhub.queue.filters import JobFilter
from taskhub.queue.insight import asking, candidates
from taskhub.queue.states import JobLine, Page

if TYPE_CHECKING:
    from taskhub.queue.hub import Hub

# A page is looked for in the newest ids first, then in ever more of the older ones at once.
FIRST_IDS = 20_000
QUICK_SECONDS = 0.1
# So many of the newest are searched for arguments that are not kept to be searched for.
MOST_SEARCHED = 50_000
FEWEST_CANDIDATES = 100
MOST_CANDIDATES = 1000


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
    search = _Search(hub, wanted or JobFilter(), limit, time.monotonic() + seconds)
    [ids] = asking.rows(hub, "read_id_range")
    if ids["highest_id"] is None:
        return Page([], None)
    lowest_id, searched = ids["lowest_id"], None
    if search.candidates is None and search.wanted.args:
        searched = MOST_SEARCHED
        lowest_id = max(lowest_id, ids["highest_id"] + 1 - MOST_SEARCHED)
    end_id = min(before_id or ids["highest_id"] + 1, ids["highest_id"] + 1)
    left_id = search.look(end_id, lowest_id)
    return Page(search.found, left_id, searched)


class _Search:
    """One page in the making."""

    def __init__(self, hub: Hub, wanted: JobFilter, limit: int, deadline: float) -> None:
        self.wanted = wanted
        self.found: list[JobLine] = []
        self.candidates = candidates.of(hub, wanted)
        self._hub = hub
        self._asked = wanted.parameters()
        self._limit = limit
        self._deadline = deadline

    def look(self, end_id: int, lowest_id: int) -> int | None:
        """Fill the page; below which id to go on, None where nothing is left."""
        go_on = self._by_windows if self.candidates is None else self._by_candidates
        end_id = go_on(end_id, lowest_id)
        return end_id if end_id > lowest_id else None

    def _by_windows(self, end_id: int, lowest_id: int) -> int:
        width = FIRST_IDS
        while len(self.found) < self._limit and end_id > lowest_id:
            began = time.monotonic()
            if began >= self._deadline:
                break
            end_id = self._take(max(end_id - width, lowest_id), end_id, None)
            # A job never changes its id, so one that moves to the history meanwhile is met once.
            width = width * 4 if time.monotonic() - began < QUICK_SECONDS else max(width // 4, 1000)
        return end_id

    def _by_candidates(self, end_id: int, lowest_id: int) -> int:
        assert self.candidates is not None  # noqa: S101 - told to the type checker
        most = FEWEST_CANDIDATES
        while len(self.found) < self._limit and time.monotonic() < self._deadline:
            ids = self.candidates(end_id, most)
            if not ids:
                return lowest_id
            end_id = self._take(ids[-1], end_id, ids)
            most = MOST_CANDIDATES
        return end_id

    def _take(self, from_id: int, before_id: int, ids: list[int] | None) -> int:
        rows = asking.rows(
            self._hub, "list_jobs", **self._asked, limit=self._limit - len(self.found),
            from_id=from_id, before_id=before_id, candidates=ids,
        )  # fmt: skip
        self.found += [JobLine(**row) for row in rows]
        return from_id if len(self.found) < self._limit else self.found[-1].id
