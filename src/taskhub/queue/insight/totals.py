"""How many jobs stand where, in the whole hub."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from taskhub.queue.insight import asking
from taskhub.queue.insight.depths import KINDS, MOST_COUNTED, measure
from taskhub.queue.states import Counts

if TYPE_CHECKING:
    from taskhub.queue.hub import Hub

MOST_RUNS = 100_000


def counts(hub: Hub, *, since: timedelta = timedelta(hours=1)) -> Counts:
    """How many jobs stand where, and how many runs ended within `since`."""
    with asking.moment(hub) as connection:
        depths = measure(hub, connection)
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        [ended] = asking.read(hub, connection, "count_ended", most=MOST_COUNTED)
        [runs] = asking.read(
            hub, connection, "count_runs", since_seconds=since.total_seconds(), most=MOST_RUNS
        )
    return Counts(
        **{kind: sum(n for (_, k), n in depths.jobs.items() if k == kind) for kind in KINDS},
        **ended,
        estimated=tuple(
            [k for k in KINDS if any(kind == k for _, kind in depths.estimated)]
            + [name for name, jobs in ended.items() if jobs >= MOST_COUNTED]
        ),
        succeeded_lately=runs["succeeded"],
        failed_runs_lately=runs["failed"],
        is_more_lately=runs["is_more"],
    )
