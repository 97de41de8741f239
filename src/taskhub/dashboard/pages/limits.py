"""Limits and locks: what holds jobs back in the whole fleet, who runs under it and who waits."""

from __future__ import annotations

from functools import partial

from starlette.responses import Response

from taskhub.dashboard import links
from taskhub.dashboard.acting import SPANS, Done, act, named, span
from taskhub.dashboard.routing import action, screen
from taskhub.dashboard.visit import Visit
from taskhub.dashboard.words import mark
from taskhub.queue import holding, insight
from taskhub.queue.limits import MOST

KINDS = ("queue", "task")


def listing(visit: Visit) -> Response:
    """Every limit and pause in force, every key that tasks declare, and the locks that jobs wait for."""
    return visit.page(
        "limits.html",
        limits=visit.reader.limits(),
        keys={key.name: key for key in insight.held_keys(visit.reader, limit=200)},
        locks=holding.locks(visit.reader),
        spans=SPANS,
        jobs=partial(links.jobs, visit),
    )


def limit(visit: Visit) -> Response:
    """Let at most so many jobs of a queue, task or key run at once."""
    name = named(visit, "name")
    text = named(visit, "at_most")

    def change() -> Done:
        if not text.isascii() or not text.isdecimal() or len(text) > len(str(MOST)):
            raise ValueError(f"at_most must be a whole number from 1 to {MOST}, got {text!r}")
        visit.hub.limit(name, at_most=int(text))
        return Done(said=visit.translate("%(name)s is limited.", name=name))

    return act(visit, "limits set", {"name": name, "at_most": text}, change)


def unlimit(visit: Visit) -> Response:
    """Take back what was said of a name."""
    name = named(visit, "name")

    def change() -> Done:
        if visit.hub.unlimit(name):
            return Done(said=visit.translate("The limit of %(name)s is gone.", name=name))
        told = visit.translate("%(name)s had no limit of its own.", name=name)
        return Done(said=told, matched=1, changed=0)

    return act(visit, "limits rm", {"name": name}, change)


def pause(visit: Visit) -> Response:
    """Start no more jobs of a queue, task or key."""
    name, until = named(visit, "name"), span(visit)

    def change() -> Done:
        visit.hub.pause(**_part(name), reason=visit.reason or "", until=until)
        return Done(said=visit.translate("%(name)s is paused.", name=name))

    target = {"name": name, "seconds": until.total_seconds() if until else None}
    return act(visit, "pause", target, change)


def resume(visit: Visit) -> Response:
    """Let jobs of it start again, and close its breaker."""
    name = named(visit, "name")

    def change() -> Done:
        if visit.hub.resume(**_part(name)):
            return Done(said=visit.translate("%(name)s goes on.", name=name))
        told = visit.translate("%(name)s was not held.", name=name)
        return Done(said=told, matched=1, changed=0)

    return act(visit, "resume", {"name": name}, change)


def _part(name: str) -> dict[str, str]:
    """A limit's name as `pause` and `resume` take it."""
    kind, colon, rest = name.partition(":")
    return {kind: rest} if colon and kind in KINDS else {"key": name}


ROUTES = (
    screen("/limits", listing, name="limits", title=mark("Limits and locks"), nav=80),
    action("/limits/set", limit, name="limits.set"),
    action("/limits/remove", unlimit, name="limits.remove"),
    action("/limits/pause", pause, name="limits.pause"),
    action("/limits/resume", resume, name="limits.resume"),
)
