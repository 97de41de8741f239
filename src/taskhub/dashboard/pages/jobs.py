"""Jobs: a list by filter, and what is done to a selection or to all that match."""

from __future__ import annotations

from dataclasses import replace

from starlette.responses import Response

from taskhub.dashboard.routing import action, screen
from taskhub.dashboard.visit import Visit
from taskhub.dashboard.words import mark
from taskhub.queue import actions, audit, insight
from taskhub.queue.filter_text import KNOWN, STATES, BadFilter, format_filter, parse
from taskhub.queue.filters import JobFilter
from taskhub.queue.states import Page

PAGE = 50
MOST_SELECTED = 1000
LOOK_SECONDS = 2.0
CHANGES = {"retry": mark("Retry"), "cancel": mark("Cancel")}


def show(visit: Visit) -> Response:
    """The jobs that fit the filter of the address, newest first."""
    typed, trouble = visit.asked("q"), ""
    try:
        wanted = parse(typed)
    except BadFilter as error:
        wanted, trouble = JobFilter(), str(error)
    before = visit.asked("before")
    before_id = (
        int(before) if before.isascii() and before.isdecimal() and len(before) < 19 else None
    )
    page = Page([], None)
    if not trouble:
        page = insight.page(
            visit.reader, wanted, limit=PAGE, before_id=before_id, seconds=LOOK_SECONDS
        )
    return visit.page(
        "jobs.html",
        page=page,
        typed=typed,
        trouble=trouble,
        known=KNOWN,
        tabs=[(state, _with_state(wanted, state)) for state in ("", *STATES)],
        chosen=tuple(wanted.statuses),
        before=before_id,
        filter=format_filter(wanted),
    )


def _with_state(wanted: JobFilter, state: str) -> str:
    return format_filter(replace(wanted, statuses=(state,) if state else ()))


def preview(visit: Visit) -> Response:
    """What a change of all that match would be about, frozen, with a form that confirms it."""
    change = "cancel" if visit.asked("change") == "cancel" else "retry"
    try:
        frozen = actions.freeze(visit.reader, parse(visit.asked("q")), change)  # type: ignore[arg-type]  # one of two
    except BadFilter as error:
        return visit.back(str(error), kind="bad", to=visit.url("jobs"))
    return visit.page(
        "jobs_bulk.html",
        filter=format_filter(frozen.wanted),
        frozen=frozen,
        change=change,
        word=CHANGES[change],
        live=False,
    )


def change_all(visit: Visit) -> Response:
    """Retry or cancel what a preview has frozen, and nothing else."""
    by = audit.By(visit.actor, "dashboard", visit.reason)
    try:
        frozen = actions.thaw(visit.posted("frozen"))
    except ValueError as error:
        return visit.back(str(error), kind="bad", to=visit.url("jobs"))
    if frozen.change == "retry":
        done = actions.retry_frozen(visit.hub, frozen, by=by)
        said = mark("%(changed)s of %(matched)s jobs wait again.")
    else:
        done = actions.cancel_frozen(visit.hub, frozen, reason=visit.reason or "", by=by)
        said = mark("%(changed)s of %(matched)s jobs were cancelled or asked to stop.")
    told = visit.translate(said, changed=done.changed, matched=done.matched)
    return visit.back(told, kind=_kind(done.matched, done.changed), to=visit.url("jobs"))


def retry(visit: Visit) -> Response:
    """Let the jobs that were selected wait again as if new."""
    ids = visit.posted_ids()[:MOST_SELECTED]
    if not ids:
        return visit.back(visit.translate(mark("No job was selected.")), kind="bad")
    done = actions.retry(visit.hub, ids)
    changed = sum(one.outcome == "retried" for one in done)
    _note(visit, "retry", ids, changed)
    said = visit.translate(
        mark("%(changed)s of %(matched)s jobs wait again."), changed=changed, matched=len(ids)
    )
    return visit.back(said, kind=_kind(len(ids), changed))


def cancel(visit: Visit) -> Response:
    """Cancel the jobs that were selected; running ones are asked to stop."""
    ids = visit.posted_ids()[:MOST_SELECTED]
    if not ids:
        return visit.back(visit.translate(mark("No job was selected.")), kind="bad")
    done = actions.cancel(visit.hub, ids, reason=visit.reason or "")
    changed = sum(one.outcome in {"cancelled", "asked to stop"} for one in done)
    _note(visit, "cancel", ids, changed)
    said = visit.translate(
        mark("%(changed)s of %(matched)s jobs were cancelled or asked to stop."),
        changed=changed,
        matched=len(ids),
    )
    return visit.back(said, kind=_kind(len(ids), changed))


def _kind(matched: int, changed: int) -> str:
    return "ok" if changed == matched else "warn"


def _note(visit: Visit, verb: str, ids: list[int], changed: int) -> None:
    audit.record(
        visit.hub,
        actor=visit.actor,
        source="dashboard",
        action=verb,
        target={"ids": ids},
        reason=visit.reason,
        matched=len(ids),
        changed=changed,
        outcome="done" if changed == len(ids) else "partly",
    )


ROUTES = (
    screen("/jobs", show, name="jobs", title=mark("Jobs"), nav=20),
    screen("/jobs/bulk", preview, name="jobs.bulk", title=mark("All that match"), role="operate"),
    action("/jobs/bulk", change_all, name="jobs.bulk.do"),
    action("/jobs/retry", retry, name="jobs.retry"),
    action("/jobs/cancel", cancel, name="jobs.cancel"),
)
