"""Alerts: what is wrong now, what was, and whether a notice of it would arrive."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy.orm import Session
from starlette.responses import Response

from taskhub.dashboard import asking
from taskhub.dashboard.acting import Done, act, named
from taskhub.dashboard.routing import action, screen
from taskhub.dashboard.tables import needs_tables
from taskhub.dashboard.visit import Visit
from taskhub.dashboard.words import mark
from taskhub.system import alerts, sinks
from taskhub.system.sinks.refusals import Refused, UnknownSink

PAGE = 50
KINDS = {mark("critical"): "bad", mark("warning"): "warn"}


def listing(visit: Visit) -> Response:
    """The alerts that are open, or all of them, the newest first."""
    resolved = visit.asked("resolved") == "1"
    with Session(visit.reader.engine) as session:
        found = alerts.listed(
            session,
            resolved=resolved,
            before_id=asking.number(visit, "before"),
            limit=PAGE + 1,
        )
        session.expunge_all()
    shown = found[:PAGE]
    following = len(found) > PAGE and visit.url(
        "alerts", query={"resolved": 1 if resolved else None, "before": shown[-1].id}
    )
    return visit.page(
        "alerts.html", alerts=shown, resolved=resolved, kinds=KINDS, following=following,
        sinks=sinks.names(visit.house.settings),
    )  # fmt: skip


def test(visit: Visit) -> Response:
    """Send a notice to one sink now, and say whether it was taken."""
    sink = named(visit, "sink")
    settings = visit.house.settings
    now = datetime.now(UTC)
    message = sinks.Message(
        key=f"test-{now.timestamp():.6f}",
        kind="test",
        subject=f"[{settings.mail_brand}] this is a test",
        lines=("If you read this, notices arrive here.",),
        created_at=now,
    )

    def change() -> Done:
        sinks.send(settings, sink, message)
        return Done(said=visit.translate("%(sink)s took the notice.", sink=sink))

    return act(visit, "alerts test", {"sink": sink}, change, refusals=(Refused, UnknownSink))


ROUTES = (
    screen("/alerts", needs_tables(listing), name="alerts", title=mark("Alerts"), nav=110),
    action("/alerts/test", test, name="alerts.test"),
)
