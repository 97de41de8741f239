"""A new version of a document is indexed, and takes its document's place."""

from sqlalchemy.orm import Session

from taskhub.kb.documents import replace
from taskhub.kb.documents.failures import UnknownDocument
from taskhub.kb.documents.models import Document
from taskhub.kb.segments.store import discard
from taskhub.kb.tasks.blueprint import kb
from taskhub.queue import Backoff, Context, Fail

DISCARD_SEGMENTS = 1000


def follow(session: Session, document: Document) -> None:
    """Defer what follows when a document is completed: one that is a new version takes over."""
    if document.replaces_id is not None:
        duplicate_document_indexing.options(session=session).defer(
            document.replaces_id, document.id
        )


@kb.task(
    name="duplicate_document_indexing",
    queue="indexing",
    lock="document:{document_id}",
    retry=Backoff(max_attempts=3),
)
def duplicate_document_indexing(ctx: Context, document_id: int, new_id: int) -> dict[str, int]:
    """Put a whole new version in its document's place, and take away what was there before.

    Whoever searches finds the old one until the commit, and the new one from then on. A version
    that a newer one has overtaken is taken away unused. Runs again from where it stood.
    """
    try:
        with ctx.hub.transaction() as session:
            replaced = replace.take_over(session, document_id, new_id)
    except UnknownDocument:
        replaced = False  # deleted meanwhile: then its new version is not wanted either
    discarded = 0
    while True:
        if ctx.cancelled:
            raise Fail("stopped between two batches, as somebody or the end of the worker asked")
        with ctx.hub.transaction() as session:
            gone = discard(session, new_id, DISCARD_SEGMENTS)
            if not gone:
                replace.drop(session, new_id)
                break
        discarded += gone
        ctx.progress(discarded)
    return {"replaced": int(replaced), "segments_discarded": discarded}
