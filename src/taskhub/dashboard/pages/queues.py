"""Queues: what each holds, and what holds it back."""

from __future__ import annotations

from functools import partial

from markupsafe import Markup
from sqlalchemy.orm import Session
from starlette.exceptions import HTTPException
from starlette.responses import Response

from taskhub.dashboard import links
from taskhub.dashboard.acting import SPANS, Done, act, named, span
from taskhub.dashboard.charts import sparkline
from taskhub.dashboard.pages import tasks
from taskhub.dashboard.routing import action, screen
from taskhub.dashboard.visit import Visit
from taskhub.dashboard.words import mark
from taskhub.queue import insight
from taskhub.queue.insight.overview import QueueOverview
from taskhub.queue.limits import Limit
from taskhub.queue.states import QueueState
from taskhub.system import statistics
from taskhub.system.findings import has_tables

HOURS = 48
LIVE = ("live", "draining", "drained")


def listing(visit: Visit) -> Response:
    """Every queue with what it holds, its limit and its pause."""
    return visit.page(
        "queues.html",
        rows=insight.overview(visit.reader).queues,
        held=_rules(visit),
        spark=partial(_spark, visit),
        jobs=partial(links.jobs, visit),
    )


def _spark(visit: Visit, row: QueueOverview) -> Markup:
    """The last sixty minutes of a queue."""
    title = visit.translate(
        "Runs a minute in the last hour: %(all)s in all, %(most)s at most",
        all=sum(row.series),
        most=max(row.series, default=0),
    )
    return sparkline([float(runs) for runs in row.series], title=title)


def show(visit: Visit) -> Response:
    """One queue, its workers, and what can be done to it."""
    name = visit.asked("name")
    every = insight.queues(visit.reader)
    queue = next((q for q in every if q.queue == name), None)
    rule = _rules(visit).get(name)
    if queue is None and rule is None:
        raise HTTPException(404, visit.translate("No queue is called so, or it is empty."))
    workers = [
        worker
        for worker in insight.workers(visit.reader)
        if worker.state in LIVE and (worker.queues is None or name in worker.queues)
    ]
    return visit.page(
        "queue.html",
        heading=name,
        queue=queue or _empty(name, len(workers)),
        rule=rule,
        workers=workers,
        spans=SPANS,
        charts=_charts(visit, name),
        jobs=partial(links.jobs, visit),
    )


def _charts(visit: Visit, name: str) -> list[Markup]:
    """What ended in it and how long that took, where it has been added up."""
    if not has_tables(visit.reader):
        return []
    with Session(visit.reader.engine) as session:
        points = statistics.course(session, hours=HOURS, queue=name)
    return [tasks.runs(visit, points), tasks.times(visit, points)] if points else []


def pause(visit: Visit) -> Response:
    """Start no more jobs of the queue."""
    name, until = named(visit, "queue"), span(visit)

    def change() -> Done:
        visit.hub.pause(queue=name, reason=visit.reason or "", until=until)
        return Done(said=visit.translate("Queue %(name)s is paused.", name=name))

    target = {"queue": name, "seconds": until.total_seconds() if until else None}
    return act(visit, "pause", target, change)


def resume(visit: Visit) -> Response:
    """Let the queue's jobs start again."""
    name = named(visit, "queue")

    def change() -> Done:
        if visit.hub.resume(queue=name):
            return Done(said=visit.translate("Queue %(name)s goes on.", name=name))
        return Done(
            said=visit.translate("Queue %(name)s was not paused.", name=name), matched=1, changed=0
        )

    return act(visit, "resume", {"queue": name}, change)


def _rules(visit: Visit) -> dict[str, Limit]:
    """What is said of queues, by the queue's name."""
    prefix = "queue:"
    return {
        limit.name.removeprefix(prefix): limit
        for limit in visit.reader.limits()
        if limit.name.startswith(prefix)
    }


def _empty(name: str, workers: int) -> QueueState:
    return QueueState(
        queue=name, ready=0, scheduled=0, running=0, failed=0, oldest_ready_seconds=None,
        workers=workers,
    )  # fmt: skip


ROUTES = (
    screen("/queues", listing, name="queues", title=mark("Queues"), nav=40),
    screen("/queues/show", show, name="queues.show", title=mark("Queue")),
    action("/queues/pause", pause, name="queues.pause"),
    action("/queues/resume", resume, name="queues.resume"),
)
