"""What is asked of documents, and deferred in the transaction that makes it necessary."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from taskhub.kb.datasets import create
from taskhub.kb.documents import batches, sameness, stages
from taskhub.kb.documents.add import add
from taskhub.kb.documents.models import Document, DocumentState
from taskhub.kb.documents.walk import walk
from taskhub.kb.tasks.indexing import begin_work
from taskhub.queue import Hub

# Documents of one transaction when a whole dataset is looked through.
LOOK_DOCUMENTS = 500


@dataclass(frozen=True, slots=True)
class Added:
    """What became of one path of a folder: a document, whose error tells a bad file, or no document."""

    path: Path
    document_id: int | None
    error: str | None
    batch_id: int | None = None


@dataclass(frozen=True, slots=True)
class Again:
    """What became of a dataset's documents: so many are as they would be again, so many were deferred."""

    unchanged: int
    deferred: int


def add_document(hub: Hub, dataset_id: int, path: str | Path) -> int:
    """The id of a new document, deferred for indexing; a bad file has one too, with its reason.

    Raises:
        UnknownDataset: there is no such dataset.
    """
    return _added(hub, dataset_id, Path(path), None)[0]


def add_folder(hub: Hub, dataset_id: int, folder: str | Path) -> Iterator[Added]:
    """Add each file below a folder, sorted, in a transaction of its own; yields as it goes.

    All of them are one batch, whose counts `batches.batch_status` tells from the first on.

    Raises:
        UnknownDataset: there is no such dataset.
    """
    with hub.transaction() as session:
        batch_id = batches.open_batch(session, create.get(session, dataset_id)).id
    total = refused = 0
    try:
        for found in walk(Path(folder)):
            total += 1
            if found.error is not None:
                refused += 1
                yield Added(found.path, None, found.error, batch_id)
            else:
                yield Added(
                    found.path, *_added(hub, dataset_id, found.path, batch_id), batch_id=batch_id
                )
    finally:
        # Also when whoever reads this stops half-way: then that is all that came.
        with hub.transaction() as session:
            batches.close_batch(session, batch_id, total=total, refused=refused)


def _added(hub: Hub, dataset_id: int, path: Path, batch_id: int | None) -> tuple[int, str | None]:
    with hub.transaction() as session:
        dataset = create.get(session, dataset_id)
        document = add(session, dataset, path, max_file_bytes=hub.settings.max_file_bytes)
        document.batch_id = batch_id
        begin_work(session, document, hub.settings)
        return document.id, document.error


def index_again(hub: Hub, document_id: int, *, force: bool = False) -> int | None:
    """Index a document anew from its stored file; the id of the job, None if nothing would change.

    Nothing would change when the file, the sizes of segments and the model are those that its
    segments were made of; `force` does it all the same.

    Raises:
        UnknownDocument: there is none.
    """
    with hub.transaction() as session:
        document = stages.load(session, document_id)
        dataset = create.get(session, document.dataset_id)
        if not force and sameness.is_current(dataset, document):
            return None
        return _begin_again(hub, session, document, force=force)


def index_dataset_again(
    hub: Hub,
    dataset_id: int,
    *,
    force: bool = False,
    dry_run: bool = False,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Again:
    """As `index_again` for every document of a dataset, some hundred a transaction.

    `progress` hears after each of them how many were looked at, and of how many. A dry run only counts.

    Raises:
        UnknownDataset: there is no such dataset.
    """
    unchanged = deferred = last = 0
    of_dataset = select(func.count()).where(Document.dataset_id == dataset_id)
    with hub.transaction() as session:
        total = session.scalar(of_dataset) or 0
    while True:
        with hub.transaction() as session:
            dataset = create.get(session, dataset_id)
            documents = session.scalars(
                select(Document)
                .where(Document.dataset_id == dataset_id, Document.id > last)
                .order_by(Document.id)
                .limit(LOOK_DOCUMENTS)
            ).all()
            if not documents:
                return Again(unchanged, deferred)
            last = documents[-1].id
            for document in documents:
                if not force and sameness.is_current(dataset, document):
                    unchanged += 1
                elif dry_run or _is_begun_again(hub, session, document, force=force):
                    deferred += 1
        progress(unchanged + deferred, total)


def _is_begun_again(hub: Hub, session: Session, document: Document, *, force: bool) -> bool:
    """False for a document that was deleted since; the others go on."""
    locked = session.get(Document, document.id, populate_existing=True, with_for_update=True)
    if locked is None:
        return False
    _begin_again(hub, session, locked, force=force)
    return True


def _begin_again(hub: Hub, session: Session, document: Document, *, force: bool) -> int:
    if force:
        sameness.forget(document)
    stages.begin_again(session, document)
    return begin_work(session, document, hub.settings)


def pause_document(hub: Hub, document_id: int) -> bool:
    """Stop the work on a document after its current batch; False if none is under way.

    Raises:
        UnknownDocument: there is none.
    """
    with hub.transaction() as session:
        return stages.pause(session, stages.load(session, document_id))


def resume_document(hub: Hub, document_id: int) -> int | None:
    """Go on with a paused document from where it stood; the id of the job, None if it is not paused.

    Raises:
        UnknownDocument: there is none.
    """
    with hub.transaction() as session:
        document = stages.load(session, document_id)
        if document.state is not DocumentState.PAUSED:
            return None
        stages.resume(session, document)
        return begin_work(session, document, hub.settings)
