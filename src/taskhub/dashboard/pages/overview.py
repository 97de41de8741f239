"""Overview: is the work healthy, and which queue is not."""

from starlette.responses import Response

from taskhub.dashboard import sentences
from taskhub.dashboard.charts import sparkline
from taskhub.dashboard.routing import screen
from taskhub.dashboard.visit import Visit
from taskhub.dashboard.words import mark
from taskhub.queue import insight
from taskhub.queue.filter_text import format_filter
from taskhub.queue.filters import JobFilter
from taskhub.queue.insight.overview import Finding

VERDICTS = {
    "healthy": ("ok", mark("All is well")),
    "degraded": ("warn", mark("Something is not as it should be")),
    "bad": ("bad", mark("Work stands still")),
}

# A finding's own text is English; by its name, the same in other languages.
FINDINGS = {
    "paused": mark("Queue %(about)s is paused, and %(jobs)s jobs wait in it."),
    "unserved": mark("%(jobs)s jobs wait in queue %(about)s, which no live worker serves."),
    "late": mark(
        "The oldest ready job of queue %(about)s waits for %(seconds_waited)s; %(seconds_allowed)s are "
        "allowed."
    ),
    "failing": mark("%(share)s of the last hour's %(runs)s runs in queue %(about)s failed."),
    "lost_workers": mark(
        "%(workers)s workers do not renew their lease; their jobs come back by themselves."
    ),
    "held_key": mark("Jobs of limit %(about)s are held back."),
}


def show(visit: Visit) -> Response:
    """The verdict with its reasons, how many jobs stand where, and every queue."""
    found = insight.overview(visit.reader)
    kind, verdict = VERDICTS[found.health]
    return visit.page(
        "overview.html",
        overview=found,
        told=lambda finding: _told(finding, visit.language),
        kind=kind,
        verdict=verdict,
        counts=insight.counts(visit.reader),
        spark=sparkline,
        query=_query,
    )


def _told(finding: Finding, language: str) -> str:
    if language == "en" or finding.name not in FINDINGS:
        return finding.text
    facts = {"about": finding.about, **finding.facts}
    return sentences.filled([FINDINGS[finding.name]], facts, language) or finding.text


def _query(queue: str, state: str) -> str:
    """The filter of a number in the table; every number leads to the jobs it counts."""
    return format_filter(JobFilter(queues=(queue,), statuses=(state,)))


ROUTES = (screen("/", show, name="overview", title=mark("Overview"), nav=10),)
