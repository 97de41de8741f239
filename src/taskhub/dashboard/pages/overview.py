"""Overview: is the work healthy, and which queue is not."""

from starlette.responses import Response

from taskhub.dashboard.charts import sparkline
from taskhub.dashboard.routing import screen
from taskhub.dashboard.visit import Visit
from taskhub.dashboard.words import mark
from taskhub.queue import insight
from taskhub.queue.filter_text import format_filter
from taskhub.queue.filters import JobFilter

VERDICTS = {
    "healthy": ("ok", mark("All is well")),
    "degraded": ("warn", mark("Something is not as it should be")),
    "bad": ("bad", mark("Work stands still")),
}


def show(visit: Visit) -> Response:
    """The verdict with its reasons, how many jobs stand where, and every queue."""
    found = insight.overview(visit.reader)
    kind, verdict = VERDICTS[found.health]
    return visit.page(
        "overview.html",
        overview=found,
        kind=kind,
        verdict=verdict,
        counts=insight.counts(visit.reader),
        spark=sparkline,
        query=_query,
    )


def _query(queue: str, state: str) -> str:
    """The filter of a number in the table; every number leads to the jobs it counts."""
    return format_filter(JobFilter(queues=(queue,), statuses=(state,)))


ROUTES = (screen("/", show, name="overview", title=mark("Overview"), nav=10),)
