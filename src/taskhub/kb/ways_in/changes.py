"""What is asked of documents that are there, and deferred in the transaction that needs it."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.orm import Session

from taskhub.kb.datasets import create
from taskhub.kb.documents import again, replace, switches, sync
from taskhub.kb.documents.add import storable
from taskhub.kb.documents.failures import UnknownDocument
from taskhub.kb.documents.models import Document
from taskhub.kb.documents.web import check_url
from taskhub.kb.tasks import cleaning
from taskhub.kb.tasks import documents as tasks
from taskhub.queue import Hub

# Ids of seven digits: a job's arguments stay far below 64 KiB.
BATCH_DOCUMENTS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """What became of one document.

    Attributes:
        job_id: the job that follows, None if none needs to.
        is_done: False where it was not changed as asked; `outcome` says why.
    """

    document_id: int
    outcome: str
    job_id: int | None = None
    is_done: bool = True


def retry_documents(hub: Hub, document_ids: Iterable[int]) -> list[Changed]:
    """Try documents again, each in a transaction of its own.

    One that is missing, completed or being worked on is told with its reason, and the others go on.
    """
    return [_retried(hub, document_id) for document_id in document_ids]


def _retried(hub: Hub, document_id: int) -> Changed:
    try:
        with hub.transaction() as session:
            found = tasks.go_on(session, hub, document_id)
            if found.document is None:
                return Changed(document_id=document_id, outcome=found.outcome, is_done=False)
            job_id = found.document.job_id
            return Changed(document_id=document_id, outcome=found.outcome, job_id=job_id)
    except UnknownDocument as error:
        return _refused(document_id, error)


def retry_failed(hub: Hub, dataset_id: int) -> list[int]:
    """Try all documents of a dataset again that failed; the ids of the jobs that see to it.

    Raises:
        UnknownDataset: there is none.
    """
    with hub.transaction() as session:
        create.get(session, dataset_id)
        ids = list(again.failed(session, dataset_id))
        return _in_batches(ids, tasks.retry_document_indexing.options(session=session))


def recover_documents(hub: Hub, document_ids: Iterable[int]) -> list[int]:
    """Go on with paused or interrupted documents from where each stood; the ids of the jobs."""
    with hub.transaction() as session:
        ids = list(document_ids)
        return _in_batches(ids, tasks.recover_document_indexing.options(session=session))


def _in_batches(ids: list[int], task: tasks.OfMany) -> list[int]:
    parts = [ids[n : n + BATCH_DOCUMENTS] for n in range(0, len(ids), BATCH_DOCUMENTS)]
    return [job.id for job in task.defer_many({"document_ids": part} for part in parts)]


def add_url(hub: Hub, dataset_id: int, url: str) -> Changed:
    """A new document out of what a web address stands for, which a worker fetches.

    Raises:
        UnknownDataset: there is no such dataset.
        BadDocument: the address is none that may be fetched.
    """
    check_url(url)
    with hub.transaction() as session:
        dataset = create.get(session, dataset_id)
        document = Document(
            dataset_id=dataset.id,
            tenant_id=dataset.tenant_id,
            name=storable(sync.name_of(url)),
            source=url,
        )
        session.add(document)
        session.flush()
        job_id = tasks.begin(session, hub, document)
        return Changed(document_id=document.id, outcome="deferred", job_id=job_id)


def sync_documents(hub: Hub, document_ids: Iterable[int]) -> list[Changed]:
    """Have each document compared with its source, and indexed anew if that has changed.

    One that is missing, archived or without a source is told with its reason, and the others go on.
    """
    return [_synced(hub, document_id) for document_id in document_ids]


def _synced(hub: Hub, document_id: int) -> Changed:
    try:
        with hub.transaction() as session:
            document = switches.check_changeable(session, document_id)
            if document.source is None:
                return _refused(document_id, "has no source: it was added as content; replace it")
            job = tasks.document_indexing_sync.options(session=session).defer(document_id)
            return Changed(document_id=document_id, outcome="deferred", job_id=job.id)
    except (UnknownDocument, switches.ArchivedDocument) as error:
        return _refused(document_id, error)


def sync_dataset(hub: Hub, dataset_id: int) -> list[int]:
    """Have all documents of a dataset compared that have a source; the ids of the jobs.

    Raises:
        UnknownDataset: there is none.
    """
    with hub.transaction() as session:
        create.get(session, dataset_id)
        ids = session.scalars(sync.with_source(dataset_id)).all()
        task = tasks.document_indexing_sync.options(session=session)
        return [job.id for job in task.defer_many({"document_id": n} for n in ids)]


def update_dataset(hub: Hub, dataset_id: int) -> list[int]:
    """Have all documents of a dataset cut and indexed anew, because its rules have changed.

    Each stays to be found as it is until its new version is whole.

    Raises:
        UnknownDataset: there is none.
    """
    with hub.transaction() as session:
        create.get(session, dataset_id)
        ids = session.scalars(replace.replaceable(dataset_id)).all()
        task = tasks.document_indexing_update.options(session=session)
        return [job.id for job in task.defer_many({"document_id": n} for n in ids)]


def replace_document(hub: Hub, document_id: int, path: str | Path) -> Changed:
    """Take in a file as the new version of a document, which takes its place when it is whole.

    The same file again costs nothing. A version that is being made is overtaken.

    Raises:
        UnknownDocument: there is none.
        ArchivedDocument: it was put away.
        BadDocument: the file cannot be used; the document stays as it is.
    """
    try:
        with hub.transaction() as session:
            document = switches.check_changeable(session, document_id)
            new = replace.from_file(
                session, document, Path(path), max_file_bytes=hub.settings.max_file_bytes
            )
            job_id = tasks.begin_version(session, hub, new)
    except replace.Same:
        return Changed(document_id=document_id, outcome="unchanged")
    return Changed(document_id=document_id, outcome="deferred", job_id=job_id)


def delete_documents(hub: Hub, document_ids: Iterable[int]) -> list[Changed]:
    """Hide documents at once, stop what works on them or on new versions, and remove all of it later.

    Each thousand is a transaction and a job of its own. One that is missing is told, and the others
    go.
    """
    ids = list(dict.fromkeys(document_ids))
    jobs: dict[int, int] = {}
    for start in range(0, len(ids), BATCH_DOCUMENTS):
        some = ids[start : start + BATCH_DOCUMENTS]
        with hub.transaction() as session:
            versions = session.scalars(replace.versions_of(some)).all()
            found = cleaning.withdraw(session, hub, sorted({*some, *versions}))
            if found:
                jobs |= dict.fromkeys(found, _cleaned_later(session, found))
    return [
        Changed(document_id=n, outcome="deleted", job_id=jobs[n])
        if n in jobs
        else _refused(n, "does not exist")
        for n in ids
    ]


def _cleaned_later(session: Session, ids: list[int]) -> int:
    if len(ids) == 1:
        return cleaning.clean_document.options(session=session).defer(ids[0]).id
    return cleaning.batch_clean_document.options(session=session).defer(ids).id


def enable_documents(hub: Hub, document_ids: Iterable[int], *, enabled: bool) -> list[Changed]:
    """Let searches find these documents, or not, from the commit on."""
    ids = list(document_ids)
    with hub.transaction() as session:
        done = switches.enable(session, ids, enabled=enabled)
    return _told(ids, done, "enabled" if enabled else "disabled")


def archive_documents(hub: Hub, document_ids: Iterable[int], *, archived: bool) -> list[Changed]:
    """Put documents away, or take them back, from the commit on."""
    ids = list(document_ids)
    with hub.transaction() as session:
        done = switches.archive(session, ids, archived=archived)
    return _told(ids, done, "archived" if archived else "unarchived")


def _told(ids: list[int], done: set[int], outcome: str) -> list[Changed]:
    return [
        Changed(
            document_id=n, outcome=outcome if n in done else "does not exist", is_done=n in done
        )
        for n in ids
    ]


def _refused(document_id: int, error: Exception | str) -> Changed:
    return Changed(document_id=document_id, outcome=str(error), is_done=False)
