"""Failures, grouped by what went wrong and where: one row to understand, one to retry."""

from __future__ import annotations

from datetime import timedelta

from starlette.responses import Response

from taskhub.dashboard.routing import screen
from taskhub.dashboard.visit import Visit
from taskhub.dashboard.words import mark
from taskhub.queue.filter_text import format_filter
from taskhub.queue.filters import JobFilter
from taskhub.queue.insight import asking

MOST_GROUPS = 100
MOST_RUNS = 20_000
SPANS = {"1h": 1, "3h": 3, "24h": 24, "3d": 72, "7d": 168}


def show(visit: Visit) -> Response:
    """What failed for good in the time that is asked for, the most frequent first."""
    span = visit.asked("since", "24h")
    span = span if span in SPANS else "24h"
    with asking.moment(visit.reader) as connection:
        [clock] = asking.read(visit.reader, connection, "read_clock")
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        groups = asking.read(
            visit.reader,
            connection,
            "failures_between",
            since=clock["now"] - timedelta(hours=SPANS[span]),
            until=clock["now"],
            without_tasks=[],
            most=MOST_RUNS,
            limit=MOST_GROUPS,
        )
    rows = [(group, _filter(group["fingerprint"], group["task"])) for group in groups]
    total = groups[0]["total"] if groups else 0
    return visit.page("failures.html", rows=rows, span=span, spans=list(SPANS), total=total)


def _filter(fingerprint: str | None, task: str) -> str:
    return format_filter(JobFilter(statuses=("failed",), fingerprint=fingerprint, tasks=(task,)))


ROUTES = (screen("/failures", show, name="failures", title=mark("Failures"), nav=30),)
