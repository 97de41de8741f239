"""Which jobs a change is about, pinned at one moment, so that what was previewed is what is changed."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, get_args

from taskhub.queue import filter_text, insight
from taskhub.queue.filters import JobFilter
from taskhub.queue.insight import asking
from taskhub.queue.states import JobLine

if TYPE_CHECKING:
    from taskhub.queue.hub import Hub

CHUNK = 1000
SAMPLES = 5
MOST_COUNTED = 100_000
Change = Literal["retry", "cancel"]
# What a change can be made to, and where such jobs are looked for.
STATES = {"retry": ("failed", "cancelled", "aborted"), "cancel": ("todo", "doing")}
_FINDS = {"retry": "find_ended", "cancel": "find_unended"}
_COUNTS = {"retry": "how_many_ended", "cancel": "how_many_unended"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """Jobs of one moment.

    Attributes:
        wanted: with times instead of spans.
        up_to_id: jobs above it came later.
        count: how many fitted; with `is_more` there are more than were counted.
        limit: at most so many are changed, the oldest first.
    """

    change: Change
    wanted: JobFilter
    up_to_id: int
    count: int
    is_more: bool = False
    limit: int | None = None
    samples: Sequence[JobLine] = ()

    @property
    def token(self) -> str:
        """What `thaw` makes the same of, but for the samples: for a form's hidden field."""
        told = {
            "change": self.change,
            "wanted": filter_text.format_filter(self.wanted),
            "up_to_id": self.up_to_id,
            "count": self.count,
            "is_more": self.is_more,
            "limit": self.limit,
        }
        return base64.urlsafe_b64encode(json.dumps(told).encode()).decode()

    def ids(self, hub: Hub) -> Iterator[list[int]]:
        """The ids by the thousand, oldest first: those that fit still."""
        yield from _chunks(hub, self, self.limit)


def freeze(
    hub: Hub, wanted: JobFilter, change: Change = "retry", *, limit: int | None = None
) -> Frozen:
    """The jobs that fit now and can be retried or cancelled, with the newest of them; changes nothing.

    A job that comes, or ends, after this moment is none of them. Without a status, a retry is about
    failed jobs, not about cancelled ones. Counting ends at 100,000.

    Raises:
        TookTooLong: the database did not answer within question_seconds.
    """
    if change not in get_args(Change):
        raise ValueError(f"change must be one of {', '.join(get_args(Change))}, got {change!r}")
    [clock] = asking.rows(hub, "read_clock")
    [ids] = asking.rows(hub, "read_id_range")
    asked = _pinned(wanted, clock["now"], change)
    highest = ids["highest_id"] if set(asked.statuses) & set(STATES[change]) else None
    frozen = Frozen(change=change, wanted=asked, up_to_id=highest or 0, count=0, limit=limit)
    most = min(MOST_COUNTED + 1, limit or MOST_COUNTED + 1)
    [found] = asking.rows(
        hub, _COUNTS[change], **asked.parameters(), after_id=0, up_to_id=frozen.up_to_id, limit=most
    )
    count: int = found["jobs"]
    samples = insight.jobs(hub, asked, limit=min(SAMPLES, count)) if count else []
    return replace(
        frozen, count=min(count, MOST_COUNTED), is_more=count > MOST_COUNTED, samples=samples
    )


def thaw(token: str) -> Frozen:
    """What was frozen, of its token, without samples.

    Raises:
        ValueError: it is no token.
    """
    try:
        told: dict[str, Any] = json.loads(base64.urlsafe_b64decode(token))
        wanted = filter_text.parse(told.pop("wanted"))
        made = Frozen(**told, wanted=wanted)
        known, numbers = made.change in STATES, (made.up_to_id, made.count)
        if not known or not all(isinstance(n, int) for n in numbers):
            raise ValueError("it says what no token says")
        return replace(made, wanted=_pinned(wanted, None, made.change))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"token must be one of a preview: {error}") from None


def _pinned(wanted: JobFilter, now: datetime | None, change: Change) -> JobFilter:
    def at(moment: datetime | timedelta | None) -> datetime | None:
        if not isinstance(moment, timedelta):
            return moment
        if now is None:
            raise ValueError("it has a span where a time must be")
        return now - moment

    # Cancelled jobs come back only where somebody asks for them.
    given = wanted.statuses or (("failed",) if change == "retry" else STATES[change])
    until = at(wanted.until)
    if change == "retry" and now is not None:
        # What fails after the preview is not in it.
        until = now if until is None else min(until, now)
    return replace(wanted, since=at(wanted.since), until=until, statuses=tuple(given))


def _chunks(hub: Hub, frozen: Frozen, limit: int | None) -> Iterator[list[int]]:
    after_id, left = 0, limit
    asked = frozen.wanted.parameters()
    while left is None or left > 0:
        rows = asking.rows(
            hub, _FINDS[frozen.change], **asked, after_id=after_id, up_to_id=frozen.up_to_id,
            limit=min(CHUNK, left if left is not None else CHUNK),
        )  # fmt: skip
        if not rows:
            return
        ids = [row["id"] for row in rows]
        after_id = ids[-1]
        left = None if left is None else left - len(ids)
        yield ids
