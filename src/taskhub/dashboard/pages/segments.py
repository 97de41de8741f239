"""Knowledge base: one document and its segments."""

from __future__ import annotations

from sqlalchemy.orm import Session
from starlette.exceptions import HTTPException
from starlette.responses import Response

from taskhub.dashboard import asking
from taskhub.dashboard.acting import Done, act, chosen
from taskhub.dashboard.pages.knowledge import KINDS, TASK
from taskhub.dashboard.routing import action, screen
from taskhub.dashboard.tables import needs_tables
from taskhub.dashboard.visit import Visit
from taskhub.dashboard.words import mark

PAGE = 50
STATES = {"waiting": "wait", "completed": "ok", mark("error"): "bad"}


def show(visit: Visit) -> Response:
    """One document, where it stands, and its segments by position."""
    from taskhub.kb.documents import listing
    from taskhub.kb.documents.failures import UnknownDocument
    from taskhub.kb.segments import look

    document_id = asking.part(visit, "document_id")
    after = asking.number(visit, "after")
    with Session(visit.reader.engine) as session:
        try:
            document = listing.one(session, document_id)
        except UnknownDocument as error:
            raise HTTPException(404, str(error)) from error
        found = look.page(
            session,
            document_id,
            after_position=-1 if after is None else min(after, 2**31 - 1),
            limit=PAGE + 1,
        )
    segments = found[:PAGE]
    following = len(found) > PAGE and visit.url(
        "knowledge.document", query={"after": segments[-1].position}, document_id=document_id
    )
    return visit.page(
        "document.html", heading=document.name, document=document, segments=segments, kinds=KINDS,
        states=STATES, following=following, has_tasks=TASK in visit.hub.tasks,
    )  # fmt: skip


def switch(visit: Visit) -> Response:
    """Let searches find the chosen segments, or not."""
    from taskhub.kb.ways_in import segments

    enabled = visit.posted("enabled") == "1"
    ids = chosen(visit)

    def change() -> Done:
        done = segments.enable_segments(visit.hub, ids, enabled=enabled)
        told = visit.translate(
            "%(changed)s of %(matched)s segments were switched.",
            changed=len(done),
            matched=len(ids),
        )
        return Done(said=told, matched=len(ids), changed=len(done))

    verb = "enable" if enabled else "disable"
    return act(visit, f"segment {verb}", {"segment_ids": ids}, change)


ROUTES = (
    screen(
        "/knowledge/documents/{document_id:int}",
        needs_tables(show),
        name="knowledge.document",
        title=mark("Document"),
    ),
    action("/knowledge/segments/switch", switch, name="knowledge.segments"),
)
