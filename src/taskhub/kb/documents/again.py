"""Whether a document is to be tried again: it failed, was cancelled, or was left by its job."""

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from taskhub.kb.documents import replace, stages
from taskhub.kb.documents.failures import Problem
from taskhub.kb.documents.models import Document, DocumentState
from taskhub.kb.documents.state import Condition, document_states, status
from taskhub.kb.segments.edit import ask_again

_LEFT = (Condition.FAILED, Condition.CANCELLED, Condition.INTERRUPTED)
_LIVE = ("todo", "doing", "aborting")
_WHY_NOT = {
    Condition.COMPLETED: "completed already",
    Condition.PAUSED: "paused; resume it instead",
    Condition.WAITING: "waits for a worker already",
    Condition.WORKING: "is being worked on",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one document: `document` needs a job, or None and the reason."""

    document_id: int
    outcome: str
    document: Document | None = None


def ready(session: Session, document_id: int) -> Outcome:
    """The document made ready for a job that goes on with it, its row locked; or why it is not.

    One whose new version failed is left alone, and the version tried again. One that is completed
    but for some segments gets these tried again, and is found meanwhile.

    Raises:
        UnknownDocument: there is none.
    """
    # Locked first: two who ask at once take turns, and the second finds the first one's job.
    document = stages.load(session, document_id)
    version = session.scalars(replace.versions(document_id).limit(1)).one_or_none()
    if version is not None:
        document = stages.load(session, version.id)
    found = status(session, document.id)
    if document.state is DocumentState.COMPLETED:
        if document.error_kind != Problem.SEGMENTS_LEFT_OUT or not ask_again(session, document.id):
            return Outcome(document_id, _WHY_NOT[Condition.COMPLETED])
        return Outcome(document_id, "deferred", document)
    if found.job_status in _LIVE:
        waits = found.job_status == "todo"
        return Outcome(document_id, _WHY_NOT[Condition.WAITING if waits else Condition.WORKING])
    if found.condition not in _LEFT:
        return Outcome(document_id, _WHY_NOT[found.condition])
    return Outcome(document_id, "deferred", document)


def failed(session: Session, dataset_id: int) -> list[int]:
    """Documents of a dataset that failed, were cancelled or interrupted, by id.

    A new version that failed is told by the id of its document.
    """
    rows = session.execute(
        select(Document.id, Document.replaces_id)
        .join(document_states, document_states.c.document_id == Document.id)
        .where(
            Document.dataset_id == dataset_id,
            Document.deleted_at.is_(None),
            document_states.c.condition.in_(_LEFT),
        )
    )
    return sorted({row.replaces_id or row.id for row in rows})
