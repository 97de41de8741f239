"""What happens in the queue, as it happens: read again and again, each event given once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from taskhub.queue.filters import like
from taskhub.queue.insight import asking

if TYPE_CHECKING:
    from taskhub.queue.hub import Hub

EVENTS = (
    "deferred", "started", "succeeded", "failed", "retried", "snoozed", "cancelled", "aborted",
    "interrupted", "lost",
)  # fmt: skip
MOST = 2000
# A run has the time of its last statement's transaction, which may be open for a while: so much is
# read again at each look, and what was given already is left out.
SETTLED = timedelta(seconds=30)
# Of what is past: so much at a time, more where little happened and less where much did.
SLICE = timedelta(minutes=1)
WIDEST_SLICE = timedelta(hours=6)
_MOST_SEEN = 20 * MOST


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened to a job.

    Attributes:
        event: one of EVENTS; "started" is given of runs that go on when they are looked at.
        claim: tells the runs of a job apart; 0 for "deferred".
        seconds: how long the run took, where one ended.
        log: what it logged, where it ended.
    """

    event: str
    at: datetime
    job_id: int
    claim: int
    attempt: int
    task: str
    queue: str
    worker_id: int | None
    seconds: float | None
    error_class: str | None
    error_message: str | None
    log: str | None


class Stream:
    """The events of a database from now on, or from a time in the past; for one reader.

    Args:
        queues, tasks, events, job_ids: what is empty leaves nothing out; tasks may be globs.
        since: None: from now on. What was deferred before now is not given: the past has only runs.

    Attributes:
        is_behind: more happened than one look can give, and something was left out.
        has_more: there is more of the past, which need not be waited for.
    """

    def __init__(
        self,
        hub: Hub,
        *,
        queues: Sequence[str] = (),
        tasks: Sequence[str] = (),
        events: Sequence[str] = (),
        job_ids: Sequence[int] = (),
        since: datetime | timedelta | None = None,
    ) -> None:
        self._hub = hub
        self._wanted = {
            "queues": list(queues) or None,
            "tasks": [like(task) for task in tasks] or None,
            "events": list(events) or None,
            "job_ids": list(job_ids) or None,
        }
        self._since = since
        self._seen: OrderedDict[tuple[str, int, int], None] = OrderedDict()
        self._from_at: datetime | None = None
        self._slice = SLICE
        self._after_id: int | None = None
        self.is_behind = False
        self.has_more = False

    def more(self) -> list[Event]:
        """What happened since the last call, oldest first; of the past one slice after another.

        Reads on a connection of its own. An empty list does not mean that the past is over: see
        `has_more`.
        """
        now = self._clock()
        from_at = self._begin(now) if self._from_at is None else self._from_at
        # Twice: the clock goes on, and the slice that ends at `now - SETTLED` would never be the last.
        self.has_more = from_at < now - 2 * SETTLED
        if self.has_more:
            return self._slice_of_past(from_at, now)
        rows = self._read(from_at, now + timedelta(days=1), self._after_id)
        self._from_at = max(from_at, now - SETTLED)
        deferred = [event.job_id for event in rows if event.event == "deferred"]
        if self._after_id is not None and deferred:
            # Ids commit out of order, too: the last so many are read again.
            self._after_id = max(self._after_id, max(deferred) - MOST // 2)
        fresh = self._fresh(rows)
        self.is_behind = len(fresh) >= MOST
        return fresh

    def newest(self, within: timedelta, *, most: int) -> list[Event]:
        """The last events within a time, at most so many, oldest first; it changes nothing here."""
        now = self._clock()
        return self._read(now - within, now + timedelta(days=1), None)[-most:]

    def _begin(self, now: datetime) -> datetime:
        since = self._since
        if isinstance(since, timedelta):
            since = now - since
        [ids] = asking.rows(self._hub, "read_id_range")
        self._after_id = ids["highest_id"] or 0
        return now if since is None else since

    def _slice_of_past(self, from_at: datetime, now: datetime) -> list[Event]:
        until = min(from_at + self._slice, now - SETTLED)
        rows = self._read(from_at, until, None)
        self._from_at = from_at
        if len(rows) >= MOST and self._slice > timedelta(seconds=1):
            self._slice /= 4
            return []
        self.is_behind = len(rows) >= MOST
        self._slice = min(self._slice * 2, WIDEST_SLICE) if len(rows) < MOST // 4 else self._slice
        self._from_at = until
        return self._fresh(rows)

    def _fresh(self, rows: Sequence[Event]) -> list[Event]:
        fresh = []
        for event in rows:
            key = (event.event, event.job_id, event.claim)
            if key not in self._seen:
                self._seen[key] = None
                fresh.append(event)
        while len(self._seen) > _MOST_SEEN:
            self._seen.popitem(last=False)
        return fresh

    def _read(self, from_at: datetime, to_at: datetime, after_id: int | None) -> list[Event]:
        asked: dict[str, Any] = {
            **self._wanted, "from_at": from_at, "to_at": to_at, "after_id": after_id, "most": MOST,
        }  # fmt: skip
        with asking.moment(self._hub) as connection:
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
            return [
                Event(**row) for row in asking.read(self._hub, connection, "read_events", **asked)
            ]

    def _clock(self) -> datetime:
        [clock] = asking.rows(self._hub, "read_clock")
        found: datetime = clock["now"]
        return found
