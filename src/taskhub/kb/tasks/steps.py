"""One transaction of a document's way; between two of them a pause, cancel or removal is seen."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.orm import Session

from taskhub.kb.documents import stages
from taskhub.kb.documents.models import Document, DocumentState
from taskhub.queue import Context, Fail


class Paused(Exception):
    """Somebody paused the document; the work stops between two batches."""


@contextmanager
def step(ctx: Context, document_id: int) -> Iterator[tuple[Session, Document]]:
    """One transaction of the pipeline; between two of them a pause, cancel or removal is seen."""
    if ctx.cancelled:
        raise Fail("stopped between two batches, as somebody or the end of the worker asked")
    with ctx.hub.transaction() as session:
        document = stages.load(session, document_id)
        if document.state is DocumentState.PAUSED:
            raise Paused
        yield session, document
