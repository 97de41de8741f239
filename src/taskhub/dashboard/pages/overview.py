"""Overview: is the work healthy, and which queue is not."""

from starlette.responses import Response

from taskhub.dashboard.routing import screen
from taskhub.dashboard.visit import Visit
from taskhub.dashboard.words import mark
from taskhub.queue import insight


def show(visit: Visit) -> Response:
    """Every queue with what it holds now."""
    return visit.page(
        "overview.html", queues=insight.queues(visit.reader), counts=insight.counts(visit.reader)
    )


ROUTES = (screen("/", show, name="overview", title=mark("Overview"), nav=10),)
