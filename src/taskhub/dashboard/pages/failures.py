"""Failures, grouped by what went wrong: one row to understand, one to retry."""

from __future__ import annotations

from datetime import timedelta

from starlette.responses import Response

from taskhub.dashboard.routing import screen
from taskhub.dashboard.visit import Visit
from taskhub.dashboard.words import mark
from taskhub.queue import insight
from taskhub.queue.filter_text import format_filter

SPANS = {"1h": 1, "3h": 3, "24h": 24, "3d": 72, "7d": 168}


def show(visit: Visit) -> Response:
    """What failed in the time that is asked for and stands so, the most frequent first."""
    span = visit.asked("since", "24h")
    span = span if span in SPANS else "24h"
    found = insight.failures(visit.reader, since=timedelta(hours=SPANS[span]))
    rows = [(group, format_filter(group.filter)) for group in found.groups]
    return visit.page("failures.html", found=found, rows=rows, span=span, spans=list(SPANS))


ROUTES = (screen("/failures", show, name="failures", title=mark("Failures"), nav=30),)
