"""Mail outbox: what became of each mail, how it looks, and once more."""

from __future__ import annotations

from sqlalchemy.orm import Session
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response

from taskhub.dashboard import asking
from taskhub.dashboard.acting import Done, act, chosen
from taskhub.dashboard.routing import action, screen
from taskhub.dashboard.tables import needs_tables
from taskhub.dashboard.visit import Visit
from taskhub.dashboard.words import mark

PAGE = 50
STATES = {
    mark("waiting"): "wait",
    mark("sending"): "busy",
    mark("sent"): "ok",
    mark("refused"): "bad",
    mark("dropped"): "off",
}
# What is derived of a state and its job.
DERIVED = {
    mark("given up"): "bad",
    mark("maybe sent"): "warn",
    mark("maybe sent twice"): "warn",
}
# A mail has its styles at its elements, and may load nothing; a frame of ours alone may show it.
MAIL_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox; frame-ancestors 'self'"
)


def listing(visit: Visit) -> Response:
    """The newest mails, of one state or all, or those that may have come twice or not at all."""
    from taskhub.mail import listing as outbox

    state = asking.choice(visit, "state", STATES)
    doubtful = visit.asked("doubtful") == "1"
    with Session(visit.reader.engine) as session:
        found = outbox.listing(
            session,
            visit.reader.settings,
            state=state,
            doubtful=doubtful,
            before_id=asking.number(visit, "before"),
            limit=PAGE + 1,
        )
    shown = found[:PAGE]
    asked = {"state": state, "doubtful": 1 if doubtful else None}
    following = len(found) > PAGE and visit.url("mail", query={**asked, "before": shown[-1].id})
    return visit.page(
        "mails.html", mails=shown, state=state, doubtful=doubtful, states=STATES,
        kinds=STATES | DERIVED, following=following,
    )  # fmt: skip


def show(visit: Visit) -> Response:
    """One mail: its times, its Message-ID, and how it looks."""
    from taskhub.mail import listing as outbox

    mail_id = asking.part(visit, "mail_id")
    with Session(visit.reader.engine) as session:
        try:
            found = outbox.one(session, visit.reader.settings, mail_id)
        except outbox.UnknownMail as error:
            raise HTTPException(404, str(error)) from error
    return visit.page(
        "mail.html", heading=found.subject or found.kind, mail=found, kinds=STATES | DERIVED
    )


def body(visit: Visit) -> Response:
    """The mail as its reader sees it, without the code that it carries, for a frame of `show`."""
    from taskhub.mail.listing import UnknownMail

    try:
        from jinja2 import UndefinedError

        from taskhub.mail.layout import UnknownKind
        from taskhub.mail.preview import preview
    except ModuleNotFoundError as error:
        told = f"{error.name} is not installed; run pip install 'taskhub[mail]'"
        raise HTTPException(404, told) from error
    with Session(visit.reader.engine) as session:
        try:
            seen = preview(session, visit.reader.settings, asking.part(visit, "mail_id"))
        except UnknownMail as error:
            raise HTTPException(404, str(error)) from error
        except (UnknownKind, UndefinedError) as error:
            raise HTTPException(404, f"it cannot be written: {error}") from error
    headers = {"content-security-policy": MAIL_POLICY, "x-frame-options": "SAMEORIGIN"}
    return HTMLResponse(seen.html, headers=headers)


def resend(visit: Visit) -> Response:
    """Have mails sent that were refused, dropped or given up; with `again` also sent ones, as new mails."""
    ids, again = chosen(visit), visit.posted("again") == "1"

    def change() -> Done:
        from taskhub.mail import ways_in
        from taskhub.mail.ways_in.resend import CannotResend

        refused = []
        for mail_id in ids:
            try:
                ways_in.resend(visit.hub, mail_id, again=again)
            except CannotResend as error:
                refused.append(str(error))
        changed = len(ids) - len(refused)
        told = visit.translate(
            "%(changed)s of %(matched)s mails are sent again.", changed=changed, matched=len(ids)
        )
        return Done(said=" ".join([told, *refused[:5]]), matched=len(ids), changed=changed)

    if not any(name.startswith("mail_") for name in visit.hub.tasks):
        raise HTTPException(400, visit.translate("This hub has no tasks that send mails."))
    return act(visit, "mail resend", {"mail_ids": ids, "again": again}, change)


ROUTES = (
    screen("/mail", needs_tables(listing), name="mail", title=mark("Mail outbox"), nav=100),
    screen("/mail/{mail_id:int}", needs_tables(show), name="mail.show", title=mark("Mail")),
    screen("/mail/{mail_id:int}/body", body, name="mail.body", title=mark("Mail")),
    action("/mail/resend", resend, name="mail.resend"),
)
