"""What is asked of documents, and deferred in the transaction that makes it necessary."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from taskhub.kb.datasets import create
from taskhub.kb.documents import stages
from taskhub.kb.documents.add import add
from taskhub.kb.documents.models import DocumentState
from taskhub.kb.documents.walk import walk
from taskhub.kb.tasks.indexing import document_indexing
from taskhub.queue import Hub


@dataclass(frozen=True, slots=True)
class Added:
    """What became of one path of a folder: a document, whose error tells a bad file, or no document."""

    path: Path
    document_id: int | None
    error: str | None


def add_document(hub: Hub, dataset_id: int, path: str | Path) -> int:
    """The id of a new document, deferred for indexing; a bad file has one too, with its reason.

    Raises:
        UnknownDataset: there is no such dataset.
    """
    return _added(hub, dataset_id, Path(path))[0]


def add_folder(hub: Hub, dataset_id: int, folder: str | Path) -> Iterator[Added]:
    """Add each file below a folder, sorted, in a transaction of its own; yields as it goes."""
    for found in walk(Path(folder)):
        if found.error is not None:
            yield Added(found.path, None, found.error)
        else:
            yield Added(found.path, *_added(hub, dataset_id, found.path))


def _added(hub: Hub, dataset_id: int, path: Path) -> tuple[int, str | None]:
    with hub.transaction() as session:
        dataset = create.get(session, dataset_id)
        document = add(session, dataset, path, max_file_bytes=hub.settings.max_file_bytes)
        document.job_id = document_indexing.options(session=session).defer(document.id).id
        return document.id, document.error


def index_again(hub: Hub, document_id: int) -> int:
    """Index a document anew from its stored file; the id of the job.

    Raises:
        UnknownDocument: there is none.
    """
    with hub.transaction() as session:
        document = stages.load(session, document_id)
        stages.begin_again(session, document)
        document.job_id = document_indexing.options(session=session).defer(document_id).id
        return document.job_id


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
        document.job_id = document_indexing.options(session=session).defer(document_id).id
        return document.job_id
