"""One transaction of a document's way; between two of them a pause, cancel or removal is seen."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.orm import Session

from taskhub.kb.documents import stages
from taskhub.kb.documents.failures import BadDocument, UnknownDocument
from taskhub.kb.documents.models import Document, DocumentState
from taskhub.kb.vectors.failures import EndpointBusy, EndpointRefused
from taskhub.queue import Context, Fail, Throttled

# What an endpoint is left alone for when it says 429 and no time.
BUSY_SECONDS = 5.0
STOPPED = "stopped between two batches, as somebody or the end of the worker asked"


class Paused(Exception):
    """Somebody paused the document; the work stops between two batches."""


@contextmanager
def step(ctx: Context, document_id: int) -> Iterator[tuple[Session, Document]]:
    """One transaction of the pipeline, which holds the document's row.

    Raises:
        Fail: somebody asked the job to stop.
        Paused: somebody paused the document.
        UnknownDocument: it, or its dataset, was deleted.
    """
    stop_if_asked(ctx)
    with ctx.hub.transaction() as session:
        document = stages.load(session, document_id)
        if document.state is DocumentState.PAUSED:
            raise Paused
        yield session, document
        # A job that hands the document on is over before it hears of a request to stop.
        if ctx.is_asked_to_stop(session):
            raise Fail(STOPPED)


def stop_if_asked(ctx: Context) -> None:
    """Stop here if somebody asked, or the worker ends; for the ways between two steps or batches.

    Raises:
        Fail: what is done stays done; the next run goes on with the rest.
    """
    if ctx.cancelled:
        raise Fail(STOPPED)


@contextmanager
def named(ctx: Context, document_id: int) -> Iterator[None]:
    """Give what stops the work its name, in the document's row where the document is at fault."""
    try:
        yield
    except UnknownDocument as error:
        raise Fail(str(error)) from error
    except BadDocument as problem:
        with ctx.hub.transaction() as session:
            stages.fail(session, stages.load(session, document_id), problem)
        # The reason is the file's: another try finds the same, until somebody mends it and retries.
        raise Fail(str(problem)) from problem
    except EndpointBusy as busy:
        raise Throttled(busy.retry_after or BUSY_SECONDS) from busy
    except EndpointRefused as refused:
        raise Fail(str(refused)) from refused
