"""Knowledge base: the datasets, and the documents of one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from sqlalchemy.orm import Session
from starlette.exceptions import HTTPException
from starlette.responses import Response

from taskhub.dashboard import asking
from taskhub.dashboard.acting import Done, act, chosen
from taskhub.dashboard.routing import action, screen
from taskhub.dashboard.tables import needs_tables
from taskhub.dashboard.visit import Visit
from taskhub.dashboard.words import mark

if TYPE_CHECKING:
    from taskhub.kb.ways_in.changes import Changed

PAGE = 50
# Conditions by how a thing stands that has them; the words are shown.
KINDS = {
    mark("waiting"): "wait",
    mark("working"): "busy",
    mark("completed"): "ok",
    mark("failed"): "bad",
    mark("paused"): "off",
    mark("cancelled"): "off",
    mark("interrupted"): "warn",
}
# A task of the knowledge base; a hub without it can show documents and do nothing to them.
TASK = "document_indexing"


def listing(visit: Visit) -> Response:
    """The datasets, by id."""
    from taskhub.kb.datasets import listing as datasets

    with Session(visit.reader.engine) as session:
        found = datasets.page(session, after_id=asking.number(visit, "after") or 0, limit=PAGE + 1)
    shown = found[:PAGE]
    following = {"after": shown[-1].dataset_id} if len(found) > PAGE else None
    return visit.page(
        "datasets.html",
        datasets=shown,
        most=datasets.MOST_COUNTED,
        following=following and visit.url("knowledge", query=following),
    )


def dataset(visit: Visit) -> Response:
    """The documents of one dataset, by id, of all conditions or of one."""
    from taskhub.kb.datasets import create
    from taskhub.kb.documents import listing as documents
    from taskhub.kb.documents.state import Condition

    dataset_id = asking.part(visit, "dataset_id")
    condition = asking.choice(visit, "condition", KINDS)
    with Session(visit.reader.engine) as session:
        try:
            name = create.get(session, dataset_id).name
        except create.UnknownDataset as error:
            raise HTTPException(404, str(error)) from error
        page = documents.page(
            session,
            dataset_id,
            conditions=[Condition(condition)] if condition else [],
            after_id=asking.number(visit, "after") or 0,
            limit=PAGE,
        )
    following = page.after_id and visit.url(
        "knowledge.dataset",
        query={"condition": condition, "after": page.after_id},
        dataset_id=dataset_id,
    )
    return visit.page(
        "dataset.html", heading=name, dataset_id=dataset_id, documents=page.documents,
        condition=condition, kinds=KINDS, following=following, has_tasks=TASK in visit.hub.tasks,
    )  # fmt: skip


def change(visit: Visit) -> Response:
    """Do to the chosen documents what the pressed button says."""
    wanted = visit.posted("do")
    if wanted not in CHANGES or TASK not in visit.hub.tasks:
        raise HTTPException(400, visit.translate("This cannot be done to documents."))
    ids = chosen(visit)

    def changed() -> Done:
        outcomes = CHANGES[wanted](visit, ids)
        done = sum(one.is_done for one in outcomes)
        told = visit.translate(
            "%(changed)s of %(matched)s documents were changed.", changed=done, matched=len(ids)
        )
        refused = [f"{one.document_id}: {one.outcome}" for one in outcomes if not one.is_done]
        return Done(said=" ".join([told, *refused[:5]]), matched=len(ids), changed=done)

    return act(visit, f"document {wanted}", {"document_ids": ids}, changed)


def _pause(visit: Visit, ids: list[int]) -> list[Changed]:
    from taskhub.kb.ways_in import documents

    def pause(document_id: int) -> str | None:
        is_paused = documents.pause_document(visit.hub, document_id)
        return None if is_paused else visit.translate("no work on it is under way")

    return _each(ids, pause)


def _resume(visit: Visit, ids: list[int]) -> list[Changed]:
    from taskhub.kb.ways_in import documents

    def resume(document_id: int) -> str | None:
        job_id = documents.resume_document(visit.hub, document_id)
        return visit.translate("it is not paused") if job_id is None else None

    return _each(ids, resume)


def _index(visit: Visit, ids: list[int]) -> list[Changed]:
    from taskhub.kb.ways_in import documents

    def index(document_id: int) -> str | None:
        documents.index_again(visit.hub, document_id, force=True)
        return None

    return _each(ids, index)


def _cancel(visit: Visit, ids: list[int]) -> list[Changed]:
    from taskhub.kb.documents import listing as documents
    from taskhub.queue import actions

    def cancel(document_id: int) -> str | None:
        with Session(visit.reader.engine) as session:
            job_id = documents.one(session, document_id).job_id
        if job_id is not None:
            [told] = actions.cancel(visit.hub, [job_id], reason=visit.reason or "")
            if told.outcome in ("cancelled", "asked to stop"):
                return None
        return visit.translate("no work on it is under way")

    return _each(ids, cancel)


def _each(ids: list[int], do: Callable[[int], str | None]) -> list[Changed]:
    """Each document by itself; `do` gives why it could not be changed, or None."""
    from taskhub.kb.documents.failures import UnknownDocument
    from taskhub.kb.ways_in.changes import Changed

    outcomes = []
    for document_id in ids:
        try:
            refusal = do(document_id)
        except UnknownDocument as error:
            refusal = str(error)
        outcomes.append(
            Changed(document_id=document_id, outcome=refusal or "done", is_done=refusal is None)
        )
    return outcomes


def _retry(visit: Visit, ids: list[int]) -> list[Changed]:
    from taskhub.kb.ways_in import changes

    return changes.retry_documents(visit.hub, ids)


def _enable(visit: Visit, ids: list[int]) -> list[Changed]:
    from taskhub.kb.ways_in import changes

    return changes.enable_documents(visit.hub, ids, enabled=True)


def _disable(visit: Visit, ids: list[int]) -> list[Changed]:
    from taskhub.kb.ways_in import changes

    return changes.enable_documents(visit.hub, ids, enabled=False)


CHANGES: dict[str, Callable[[Visit, list[int]], list[Changed]]] = {
    "pause": _pause,
    "resume": _resume,
    "cancel": _cancel,
    "retry": _retry,
    "index": _index,
    "enable": _enable,
    "disable": _disable,
}

ROUTES = (
    screen(
        "/knowledge", needs_tables(listing), name="knowledge", title=mark("Knowledge base"), nav=90
    ),
    screen(
        "/knowledge/datasets/{dataset_id:int}",
        needs_tables(dataset),
        name="knowledge.dataset",
        title=mark("Dataset"),
    ),
    action("/knowledge/documents/change", change, name="knowledge.change"),
)
