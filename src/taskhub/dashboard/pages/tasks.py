"""Tasks: how often each ran, how often it failed, and how long it took."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

from markupsafe import Markup
from sqlalchemy.orm import Session
from starlette.exceptions import HTTPException
from starlette.responses import Response

from taskhub.dashboard import asking, links, words
from taskhub.dashboard.charts import Series, bar, chart
from taskhub.dashboard.routing import screen
from taskhub.dashboard.tables import needs_tables
from taskhub.dashboard.visit import Visit
from taskhub.dashboard.words import mark
from taskhub.dashboard.writing import Writer
from taskhub.system import statistics
from taskhub.system.statistics import HourPoint

PERIODS = {"1d": mark("1 day"), "7d": mark("7 days"), "30d": mark("30 days")}
HOURS = 48


def listing(visit: Visit) -> Response:
    """What ran in the whole hours of a period, by task, the most runs first; and what never did."""
    period = asking.choice(visit, "period", PERIODS) or "1d"
    since = datetime.now(UTC) - timedelta(days=int(period.removesuffix("d")))
    with Session(visit.reader.engine) as session:
        totals = statistics.totals(session, since, by="task")
    slowest = max((one.slowest_p95_seconds or 0.0 for one in totals), default=0.0)
    idle = sorted({*visit.hub.tasks} - {one.name for one in totals})
    return visit.page(
        "tasks.html",
        totals=totals,
        slowest=slowest,
        idle=idle,
        period=period,
        periods=PERIODS,
        bar=bar,
        jobs=partial(links.jobs, visit),
    )


def show(visit: Visit) -> Response:
    """One task: its runs and its times, hour by hour."""
    name = visit.asked("name")
    task = visit.hub.tasks.get(name)
    with Session(visit.reader.engine) as session:
        points = statistics.course(session, hours=HOURS, task=name)
    if task is None and not any(_runs(point) for point in points):
        raise HTTPException(404, visit.translate("No task is called so, or it has not run lately."))
    charts = [runs(visit, points), times(visit, points)] if points else []
    return visit.page(
        "task.html", heading=name, name=name, task=task, charts=charts,
        jobs=partial(links.jobs, visit),
    )  # fmt: skip


def runs(visit: Visit, points: list[HourPoint]) -> Markup:
    """What ended, hour by hour."""
    series = [
        Series(visit.translate("succeeded"), [float(point.succeeded) for point in points]),
        Series(
            visit.translate("failed or retried"),
            [float(point.failed + point.retried) for point in points],
        ),
    ]
    return _chart(visit, series, points, visit.translate("Runs an hour"), _writer(visit).number)


def times(visit: Visit, points: list[HourPoint]) -> Markup:
    """How long runs took, hour by hour."""
    series = [
        Series(visit.translate("half of them"), [point.duration_p50_seconds for point in points]),
        Series(visit.translate("95 of 100"), [point.duration_p95_seconds for point in points]),
    ]
    title = visit.translate("Run time, at most")
    return _chart(visit, series, points, title, _writer(visit).duration)


def _chart(
    visit: Visit,
    series: list[Series],
    points: list[HourPoint],
    title: str,
    show: Callable[[float | None], str],
) -> Markup:
    labels = [f"{point.hour.astimezone(UTC):%m-%d %H:%M}" for point in points]
    return chart(
        series, labels, title=title, show=show, data=visit.translate("The numbers"),
        when=visit.translate("Hour (UTC)"),
    )  # fmt: skip


def _writer(visit: Visit) -> Writer:
    return Writer(words.locale(visit.language))


def _runs(point: HourPoint) -> int:
    return point.succeeded + point.failed + point.retried


ROUTES = (
    screen("/tasks", needs_tables(listing), name="tasks", title=mark("Tasks"), nav=50),
    screen("/tasks/show", needs_tables(show), name="tasks.show", title=mark("Task")),
)
