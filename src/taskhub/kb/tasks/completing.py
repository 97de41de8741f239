"""The end of a document's way: what belongs into the transaction in which it becomes findable."""

from sqlalchemy.orm import Session

from taskhub.kb.documents import sameness, stages
from taskhub.kb.documents.models import Document
from taskhub.kb.tasks.replacing import follow
from taskhub.queue import Context


def complete(ctx: Context, session: Session, document: Document) -> dict[str, int]:
    """Every segment was tried; a new version takes its document's place next."""
    stages.complete(session, document)
    sameness.remember(session, document)
    follow(session, document)
    ctx.log.info("document indexed", extra={"document_id": document.id})
    return counts(document)


def counts(document: Document) -> dict[str, int]:
    """What a job that worked on the document returns."""
    return {
        "segments": document.segments_total,
        "tokens": document.tokens,
        "characters": document.characters,
    }
