"""The last day by the minute and by task: what screens show of rates and durations, added up once."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from taskhub.queue import sql

if TYPE_CHECKING:
    from taskhub.queue.hub import Hub

EVERY_SECONDS = 15.0
KEEP_SECONDS = 90_000.0
# What a new hub, or one that was away for long, looks back at.
LONGEST_BACK = timedelta(hours=1)
# A job that commits long after it was deferred is still counted, if it is among these.
MOST_IDS_BACK = 1_000_000
GROWTH = 1.2


@dataclass(frozen=True, slots=True)
class Durations:
    """How long runs took, to a tenth: counts of runs by bucket, the shortest first."""

    buckets: Sequence[int]
    counts: Sequence[int]

    def percentile(self, share: float) -> float | None:
        """Seconds that this share of the runs did not exceed; None where none is known."""
        sums = list(itertools.accumulate(self.counts))
        if not sums or not sums[-1]:
            return None
        place = bisect.bisect_left(sums, share * sums[-1])
        return float(0.001 * GROWTH ** (self.buckets[place] + 0.5))


def add_up(hub: Hub) -> datetime | None:
    """Add up the minutes that are over, in a transaction of its own; up to when they are, None: to none.

    Two at once take turns.
    """
    with hub.engine.begin() as connection:

        def run(name: str, **parameters: Any) -> Any:
            query = sql.load(name, hub.settings.schema)
            return connection.exec_driver_sql(query, parameters)

        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        connection.exec_driver_sql(
            "SELECT pg_advisory_xact_lock(hashtextextended('taskhub minutes', 0))"
        )
        mark, ids = run("read_minutes_mark").one(), run("read_id_range").one()
        until_at, last_id = mark.upto_at, ids.highest_id or 0
        from_at = max(mark.until_at or until_at - LONGEST_BACK, until_at - LONGEST_BACK)
        if from_at >= until_at:
            return cast("datetime | None", mark.until_at)
        after_id = mark.previous_id if mark.until_at is not None else last_id - MOST_IDS_BACK
        run("add_up_minutes", from_at=from_at, until_at=until_at, after_id=after_id)
        run("move_minutes_mark", until_at=until_at, last_id=last_id, keep_seconds=KEEP_SECONDS)
    return cast("datetime", until_at)


def add_up_if_due(hub: Hub) -> datetime | None:
    """`add_up`, four times a minute by one worker of the fleet; None where it is not this one's turn."""
    if hub.write_one("take_turn", name="minutes", every_seconds=EVERY_SECONDS) is None:
        return None
    return add_up(hub)
