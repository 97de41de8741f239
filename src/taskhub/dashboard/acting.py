"""Actions: what a visitor's button does, noted in the audit with who pressed it and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import Response

from taskhub.dashboard.visit import Visit
from taskhub.dashboard.words import mark
from taskhub.queue import audit

# For how long something can be paused, as forms offer it; 0 is until somebody resumes it.
SPANS = {0: mark("until resumed"), 900: "15 min", 3600: "1 h", 14_400: "4 h", 86_400: "24 h"}
MOST_AT_ONCE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What an action came to.

    Attributes:
        said: in the visitor's language.
        matched, changed: how many things it was about and how many it changed; None: it counts nothing.
        to: the page to go on to; default: where the form stood.
    """

    said: str
    matched: int | None = None
    changed: int | None = None
    to: str | None = None


def act(
    visit: Visit,
    action: str,
    target: Mapping[str, Any],
    change: Callable[[], Done],
    *,
    refusals: tuple[type[Exception], ...] = (ValueError, LookupError),
) -> Response:
    """Make a change, note it, and go back to the page with what came of it.

    `refusals` are errors that are answers: their words are shown, and the audit has them too. The row
    of the audit follows the change in a transaction of its own.
    """
    try:
        done = change()
    except refusals as error:
        _note(visit, action, target, outcome="failed", error=str(error))
        return visit.back(str(error), kind="bad")
    is_whole = done.matched is None or done.matched == done.changed
    _note(
        visit,
        action,
        target,
        matched=done.matched,
        changed=done.changed,
        outcome="done" if is_whole else "partly",
    )
    return visit.back(done.said, kind="ok" if is_whole else "warn", to=done.to)


def _note(visit: Visit, action: str, target: Mapping[str, Any], **noted: Any) -> None:
    audit.record(
        visit.hub,
        actor=visit.actor,
        source="dashboard",
        action=action,
        target=target,
        reason=visit.reason,
        **noted,
    )


def chosen(visit: Visit, name: str = "id") -> list[int]:
    """The ids that a form names.

    Raises:
        HTTPException: there is none, or there are too many for one request.
    """
    ids = visit.posted_ids(name)
    if not ids:
        raise HTTPException(400, visit.translate("Nothing was selected."))
    if len(ids) > MOST_AT_ONCE:
        raise HTTPException(400, visit.translate("More was selected than one request may change."))
    return ids


def named(visit: Visit, name: str) -> str:
    """A field that a form must have.

    Raises:
        HTTPException: it has not.
    """
    if value := visit.posted(name):
        return value
    raise HTTPException(400, visit.translate("The form lacks %(name)s.", name=name))


def span(visit: Visit) -> timedelta | None:
    """For how long, as the form's select says; None: until somebody resumes it."""
    seconds = visit.posted("seconds", "0")
    known = next((n for n in SPANS if str(n) == seconds), 0)
    return timedelta(seconds=known) if known else None
