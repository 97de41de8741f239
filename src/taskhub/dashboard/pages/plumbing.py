"""What pages need and nobody looks at: the stream of changes, reports of the browser, preferences."""

import logging

from sse_starlette import EventSourceResponse
from starlette.responses import Response

from taskhub.dashboard import words
from taskhub.dashboard.routing import Route, action, screen
from taskhub.dashboard.visit import Visit

logger = logging.getLogger("taskhub.dashboard")
KEEPALIVE_SECONDS = 15
YEAR_SECONDS = 365 * 86_400
MAX_REPORT_BYTES = 8_192


async def events(visit: Visit) -> Response:
    """The stream by which an open page hears that something changed."""
    # A proxy that collects the answer before it passes it on would keep the page deaf.
    return EventSourceResponse(
        visit.house.pulse.events(),
        ping=KEEPALIVE_SECONDS,
        headers={"cache-control": "no-store", "x-accel-buffering": "no"},
    )


async def report(visit: Visit) -> Response:
    """What a browser reports when a page of ours did what its policy forbids."""
    told = (await visit.request.body())[:MAX_REPORT_BYTES].decode("utf-8", "replace")
    logger.error("a page broke its policy", extra={"report": told})
    visit.house.reports += 1
    return Response(status_code=204)


async def prefer(visit: Visit) -> Response:
    """Keep the visitor's language and theme, in cookies that say nothing else."""
    response = visit.back()
    for name, allowed in (("language", set(words.LANGUAGES)), ("theme", {"auto", "light", "dark"})):
        if (value := visit.posted(name)) in allowed:
            cookie = f"taskhub_{name}"
            response.set_cookie(cookie, value, max_age=YEAR_SECONDS, **visit.cookie_manners)
    return response


ROUTES = (
    screen("/events", events, name="events", title=""),
    Route(path="/csp", run=report, name="csp", method="POST", role="none", token=False),
    action("/preferences", prefer, name="preferences", role="none"),
)
