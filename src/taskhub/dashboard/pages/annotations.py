"""Knowledge base: apps, and the answers that somebody wrote for them."""

from __future__ import annotations

from sqlalchemy.orm import Session
from starlette.exceptions import HTTPException
from starlette.responses import Response

from taskhub.dashboard import asking
from taskhub.dashboard.acting import Done, act, chosen, named
from taskhub.dashboard.routing import action, screen
from taskhub.dashboard.tables import needs_tables
from taskhub.dashboard.visit import Visit
from taskhub.dashboard.words import mark

PAGE = 50
TASK = "add_annotation_index"


def apps(visit: Visit) -> Response:
    """The apps, by id, with how many annotations each has."""
    from taskhub.kb.apps import listing

    with Session(visit.reader.engine) as session:
        found = listing.page(session, after_id=asking.number(visit, "after") or 0, limit=PAGE + 1)
    shown = found[:PAGE]
    following = len(found) > PAGE and visit.url("knowledge.apps", query={"after": shown[-1].app_id})
    return visit.page("apps.html", apps=shown, most=listing.MOST_COUNTED, following=following)


def show(visit: Visit) -> Response:
    """The annotations of one app, by id."""
    from taskhub.kb.annotations import write
    from taskhub.kb.apps import create

    app_id = asking.part(visit, "app_id")
    with Session(visit.reader.engine) as session:
        try:
            name = create.get(session, app_id).name
        except create.UnknownApp as error:
            raise HTTPException(404, str(error)) from error
        after = asking.number(visit, "after") or 0
        found = write.page(session, app_id, after_id=after, limit=PAGE + 1)
        session.expunge_all()
    shown = found[:PAGE]
    following = len(found) > PAGE and visit.url(
        "knowledge.app", query={"after": shown[-1].id}, app_id=app_id
    )
    return visit.page(
        "annotations.html", heading=name, app_id=app_id, annotations=shown, following=following,
        has_tasks=TASK in visit.hub.tasks,
    )  # fmt: skip


def add(visit: Visit) -> Response:
    """Write an annotation."""
    from taskhub.kb.ways_in import annotations

    _check_tasks(visit)
    app_id = _app(visit)
    question, answer = named(visit, "question"), named(visit, "answer")

    def change() -> Done:
        made = annotations.add_annotation(visit.hub, app_id, question, answer)
        told = visit.translate("Annotation %(id)s is written.", id=made.annotation_id)
        return Done(said=told, matched=1, changed=1)

    return act(visit, "annotation add", {"app_id": app_id, "question": question}, change)


def alter(visit: Visit) -> Response:
    """Switch the chosen annotations on or off, or delete them, as the pressed button says."""
    from taskhub.kb.annotations.write import UnknownAnnotation
    from taskhub.kb.ways_in import annotations

    _check_tasks(visit)
    app_id, ids, wanted = _app(visit), chosen(visit), named(visit, "do")
    if wanted not in ("enable", "disable", "delete"):
        raise HTTPException(400, visit.translate("This cannot be done to annotations."))
    if wanted == "delete" and visit.posted("sure") != "1":
        told = visit.translate("Nothing was deleted: tick the box beside the button first.")
        return visit.back(told, kind="warn")

    def change() -> Done:
        if wanted == "delete":
            changed = len(annotations.delete_annotations(visit.hub, app_id, ids).annotation_ids)
        else:
            changed = 0
            for annotation_id in ids:
                try:
                    annotations.edit_annotation(
                        visit.hub, annotation_id, enabled=wanted == "enable"
                    )
                    changed += 1
                except UnknownAnnotation:
                    continue  # it is counted as not changed
        told = visit.translate(
            "%(changed)s of %(matched)s annotations were changed.",
            changed=changed,
            matched=len(ids),
        )
        return Done(said=told, matched=len(ids), changed=changed)

    target = {"app_id": app_id, "annotation_ids": ids}
    return act(visit, f"annotation {wanted}", target, change)


def _app(visit: Visit) -> int:
    ids = visit.posted_ids("app_id")
    if not ids:
        raise HTTPException(400, visit.translate("The form lacks %(name)s.", name="app_id"))
    return ids[0]


def _check_tasks(visit: Visit) -> None:
    if TASK not in visit.hub.tasks:
        raise HTTPException(400, visit.translate("This hub has no tasks of the knowledge base."))


ROUTES = (
    screen("/knowledge/apps", needs_tables(apps), name="knowledge.apps", title=mark("Annotations")),
    screen(
        "/knowledge/apps/{app_id:int}",
        needs_tables(show),
        name="knowledge.app",
        title=mark("Annotations"),
    ),
    action("/knowledge/annotations/add", add, name="knowledge.annotate"),
    action("/knowledge/annotations/change", alter, name="knowledge.annotations"),
)
