"""How many jobs stand where, in the whole hub."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from taskhub.queue.insight import asking
from taskhub.queue.states import Counts

if TYPE_CHECKING:
    from taskhub.queue.hub import Hub

MOST_RUNS = 100_000


def counts(hub: Hub, *, since: timedelta = timedelta(hours=1)) -> Counts:
    """How many jobs stand where, and how many runs ended within `since`."""
    with asking.moment(hub) as connection:
        [jobs] = asking.read(hub, connection, "count_jobs")
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        [runs] = asking.read(
            hub, connection, "count_runs", since_seconds=since.total_seconds(), most=MOST_RUNS
        )
    return Counts(
        **jobs,
        succeeded_lately=runs["succeeded"],
        failed_runs_lately=runs["failed"],
        is_more_lately=runs["is_more"],
    )
