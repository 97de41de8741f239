"""Schedules: when each is due, what became of its last tick, and whether it is paused."""

from __future__ import annotations

from starlette.responses import Response

from taskhub.dashboard.acting import Done, act, named
from taskhub.dashboard.phrases import schedule_in_words
from taskhub.dashboard.routing import action, screen
from taskhub.dashboard.visit import Visit
from taskhub.dashboard.words import mark
from taskhub.queue.cron_actions import CronInUse, UnknownCron

KINDS = {
    mark("active"): "ok",
    mark("paused"): "off",
    mark("stopped"): "bad",
    mark("new"): "wait",
}
MOST = 500


def listing(visit: Visit) -> Response:
    """Every schedule with its next five ticks and its last job."""
    states = visit.reader.crons.states()[:MOST]
    last = [state.last_job_id for state in states if state.last_job_id is not None]
    rows = visit.reader.read("read_results", job_ids=last) if last else []
    return visit.page(
        "schedules.html",
        states=states,
        kinds=KINDS,
        ended={row["id"]: row["status"] for row in rows},
        phrase=lambda state: schedule_in_words(state.expression, visit.language),
    )


def pause(visit: Visit) -> Response:
    """Give the schedule's ticks no jobs until it is resumed."""
    name = named(visit, "name")

    def change() -> Done:
        visit.hub.crons.pause(name, reason=visit.reason)
        return Done(said=visit.translate("%(name)s is paused.", name=name))

    return act(visit, "cron pause", {"name": name}, change)


def resume(visit: Visit) -> Response:
    """Go on with the next tick."""
    name = named(visit, "name")

    def change() -> Done:
        visit.hub.crons.resume(name)
        return Done(said=visit.translate("%(name)s goes on.", name=name))

    return act(visit, "cron resume", {"name": name}, change)


def run(visit: Visit) -> Response:
    """Defer a job of it now."""
    name = named(visit, "name")

    def change() -> Done:
        job = visit.hub.crons.run(name)
        return Done(said=visit.translate("Job %(job)s of %(name)s waits.", job=job.id, name=name))

    return act(visit, "cron run", {"name": name}, change, refusals=(UnknownCron,))


def remove(visit: Visit) -> Response:
    """Forget a schedule that no live worker declares."""
    name = named(visit, "name")

    def change() -> Done:
        visit.hub.crons.remove(name)
        return Done(said=visit.translate("%(name)s is forgotten.", name=name))

    return act(visit, "cron rm", {"name": name}, change, refusals=(UnknownCron, CronInUse))


ROUTES = (
    screen("/schedules", listing, name="schedules", title=mark("Schedules"), nav=70),
    action("/schedules/pause", pause, name="schedules.pause"),
    action("/schedules/resume", resume, name="schedules.resume"),
    action("/schedules/run", run, name="schedules.run"),
    action("/schedules/remove", remove, name="schedules.remove"),
)
