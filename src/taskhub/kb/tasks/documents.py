"""What becomes of documents after they were taken in: tried again, gone on with, renewed, compared."""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy.orm import Session

from taskhub.kb.documents import again, replace, stages, switches, sync
from taskhub.kb.documents.add import take_in
from taskhub.kb.documents.failures import BadDocument, Problem, UnknownDocument
from taskhub.kb.documents.models import Document, DocumentState
from taskhub.kb.documents.web import FetchLimits, NotReached
from taskhub.kb.tasks.blueprint import kb
from taskhub.kb.tasks.indexing import begin_work
from taskhub.kb.tasks.replacing import duplicate_document_indexing
from taskhub.kb.tasks.segments import segment_indexing
from taskhub.queue import Backoff, Context, Fail, Hub, Retry, Task, cancel_within

OfMany = Task[[list[int]], dict[str, Any]]
# Nobody waits longer for a server because it says so.
RETRY_AFTER_SECONDS = 3600.0


def begin(session: Session, hub: Hub, document: Document) -> int:
    """Defer the job that a document needs to go on; its id, which the document's row has then too."""
    if document.format is None and document.source is not None and sync.is_web(document.source):
        job = document_indexing_sync.options(session=session).defer(document.id)
        document.job_id = job.id
    else:
        begin_work(session, document, hub.settings)
    assert document.job_id is not None  # noqa: S101 - it was set just now
    return document.job_id


def begin_version(session: Session, hub: Hub, new: Document) -> int:
    """Defer what indexes a new version, and call off those that it overtakes; the job's id."""
    job_id = begin_work(session, new, hub.settings)
    older = session.scalars(replace.overtaken(new)).all()
    jobs = [version.job_id for version in older if version.job_id is not None]
    cancel_within(session, hub, jobs, reason="a newer version of it came")
    take_away = duplicate_document_indexing.options(session=session)
    for version in older:
        take_away.defer(version.replaces_id or 0, version.id)
    return job_id


def go_on(session: Session, hub: Hub, document_id: int) -> again.Outcome:
    """Try a document again that is not completed though nobody works on it, in this transaction."""
    outcome = again.ready(session, document_id)
    if outcome.document is None:
        return outcome
    if outcome.document.state is DocumentState.COMPLETED:
        segment_indexing.options(session=session).defer(document_id)
    else:
        begin(session, hub, outcome.document)
    return outcome


@kb.task(name="retry_document_indexing", queue="indexing", retry=Backoff(max_attempts=3))
def retry_document_indexing(ctx: Context, document_ids: list[int]) -> dict[str, Any]:
    """Try documents again that failed; how many, and of each that was not, why not."""
    return _each(ctx, document_ids, go_on)


@kb.task(name="recover_document_indexing", queue="indexing", retry=Backoff(max_attempts=3))
def recover_document_indexing(ctx: Context, document_ids: list[int]) -> dict[str, Any]:
    """Go on with paused or interrupted documents, each from the stage and segment it had reached."""
    return _each(ctx, document_ids, _recover)


def _recover(session: Session, hub: Hub, document_id: int) -> again.Outcome:
    document = stages.load(session, document_id)
    if document.state is not DocumentState.PAUSED:
        return go_on(session, hub, document_id)
    stages.resume(session, document)
    begin(session, hub, document)
    return again.Outcome(document_id, "deferred", document)


def _each(
    ctx: Context, document_ids: Sequence[int], act: Callable[[Session, Hub, int], again.Outcome]
) -> dict[str, Any]:
    """One transaction a document: a missing one is reported, and the others go on."""
    deferred = 0
    others: dict[str, str] = {}
    for number, document_id in enumerate(document_ids, start=1):
        if ctx.cancelled:
            raise Fail(f"stopped after {number - 1} of {len(document_ids)} documents, as asked")
        try:
            with ctx.hub.transaction() as session:
                outcome = act(session, ctx.hub, document_id)
        except UnknownDocument:
            outcome = again.Outcome(document_id, "does not exist")
        if outcome.document is not None:
            deferred += 1
        else:
            others[str(document_id)] = outcome.outcome
        ctx.progress(number, len(document_ids))
    return {"deferred": deferred, "not_deferred": others}


@kb.task(
    name="document_indexing_update",
    index_args=("document_id",),
    queue="indexing",
    lock="document:{document_id}",
    unique="document:{document_id}",
    unique_until="started",
    retry=Backoff(max_attempts=3),
)
def document_indexing_update(ctx: Context, document_id: int) -> dict[str, int]:
    """Cut and index a document's stored file anew, because the rules have changed.

    It is built beside what can be found, and takes its place when it is whole.
    """
    try:
        with ctx.hub.transaction() as session:
            document = stages.load(session, document_id)
            new = replace.from_itself(session, document)
            return {"document_id": new.id, "job_id": begin_version(session, ctx.hub, new)}
    except (UnknownDocument, BadDocument) as problem:
        raise Fail(str(problem)) from problem


def fetch_limits(hub: Hub) -> FetchLimits:
    """What the settings allow a fetch."""
    settings = hub.settings
    return FetchLimits(
        max_bytes=settings.max_file_bytes,
        seconds=settings.fetch_seconds,
        redirects=settings.fetch_redirects,
        allowed_private_hosts=settings.allowed_private_hosts,
    )


@kb.task(
    name="document_indexing_sync",
    index_args=("document_id",),
    queue="indexing",
    lock="document:{document_id}",
    unique="document:{document_id}",
    retry=Backoff(first_seconds=30, max_attempts=5),
)
def document_indexing_sync(ctx: Context, document_id: int) -> dict[str, Any]:
    """Compare a document with its source, and index what is new; unchanged costs one look.

    What was indexed stays as it is if the source is gone or does not answer: the job fails and
    says why. A document that has no content yet ends in error with the same reason.
    """
    try:
        source = _source(ctx.hub, document_id)
        # The source is asked in no transaction: it may take a minute, and nobody should wait.
        with sync.opened(source, fetch_limits(ctx.hub)) as found:
            return _synced(ctx.hub, document_id, source, found)
    except replace.Same:
        return {"changed": False}
    except NotReached as problem:
        if problem.retry_after is not None and ctx.attempt < 5:
            raise Retry(in_seconds=min(problem.retry_after, RETRY_AFTER_SECONDS)) from problem
        raise
    except (UnknownDocument, switches.ArchivedDocument) as problem:
        raise Fail(str(problem)) from problem
    except BadDocument as problem:
        with ctx.hub.transaction() as session:
            document = stages.load(session, document_id)
            if document.format is None:
                stages.fail(session, document, problem)
        raise Fail(str(problem)) from problem


def _source(hub: Hub, document_id: int) -> sync.Source:
    with hub.transaction() as session:
        document = switches.check_changeable(session, document_id)
        if document.source is None:
            raise Fail(f"document {document_id} was added without a source; replace it instead")
        return sync.Source(
            address=document.source,
            # Until it is completed what is stored may be what could not be read.
            sha256=document.sha256 if document.state is DocumentState.COMPLETED else None,
            etag=document.source_etag,
            modified=document.source_modified,
        )


def _synced(hub: Hub, document_id: int, source: sync.Source, found: sync.Found) -> dict[str, Any]:
    with hub.transaction() as session:
        document = stages.load(session, document_id)
        if found.path is None:
            sync.note(session, document, found)
            return {"changed": False}
        if document.format is None:
            document.name = found.name
            take_in(session, document, found.path, max_file_bytes=hub.settings.max_file_bytes)
            if document.state is DocumentState.ERROR:
                raise BadDocument(Problem(document.error_kind or ""), document.error or "")
            new = document
        else:
            new = replace.from_file(
                session,
                document,
                found.path,
                name=found.name,
                source=source.address,
                max_file_bytes=hub.settings.max_file_bytes,
            )
        # A version that fails leaves its document with what was known of the old one: the next
        # look sees the change again.
        sync.note(session, new, found)
        job_id = begin_version(session, hub, new)
        return {"changed": True, "document_id": new.id, "job_id": job_id}
