"""THE PIPELINE: every background task of the knowledge base, in order, and the ways in."""

import itertools
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.orm import Session

import taskhub.kb.models  # noqa: F401 - a flush needs every model that a foreign key names
from taskhub.kb.datasets import clean as cleaning
from taskhub.kb.datasets import create
from taskhub.kb.datasets.models import Dataset, Technique
from taskhub.kb.documents import stages
from taskhub.kb.documents.add import add, read_again
from taskhub.kb.documents.clean import clean
from taskhub.kb.documents.extract import Format, extract
from taskhub.kb.documents.failures import BadDocument, Problem, UnknownDocument
from taskhub.kb.documents.fetch import fetch
from taskhub.kb.documents.models import Document, DocumentState
from taskhub.kb.documents.spool import Spool
from taskhub.kb.documents.walk import walk
from taskhub.kb.segments.split import split
from taskhub.kb.segments.store import discard, store
from taskhub.kb.vectors.embedders import embedder
from taskhub.kb.vectors.index import index
from taskhub.queue import Backoff, Blueprint, Context, Fail, Hub

STORE_SEGMENTS = 256
INDEX_SEGMENTS = 32  # 1.5 s of work at 20 full segments a second, and then a pause is seen
CLEAN_ROWS = 1000

kb = Blueprint()


class Paused(Exception):
    """Somebody paused the document; the work stops between two batches."""


# 1. A document becomes findable: waiting, parsing, cleaning, splitting, indexing, completed.
#    Runs again from where it stood: whole segments are kept, missing vectors are added.


@kb.task(
    name="document_indexing",
    queue="indexing",
    lock="document:{document_id}",
    retry=Backoff(max_attempts=3),
)
def document_indexing(ctx: Context, document_id: int) -> dict[str, int]:
    """Make a document's passages findable; the counts are those of the document, not of this run."""
    try:
        if _began(ctx, document_id):
            _cut(ctx, document_id)
        return _made_findable(ctx, document_id)
    except Paused:
        return {"paused": 1}
    except UnknownDocument as error:
        raise Fail(str(error)) from error
    except BadDocument as problem:
        with ctx.hub.transaction() as session:
            stages.fail(session, stages.load(session, document_id), problem)
        # The reason is the file's: another try finds the same, until somebody mends it and retries.
        raise Fail(str(problem)) from problem


def _began(ctx: Context, document_id: int) -> bool:
    """Whether the document must be cut into segments; False if it has them all."""
    with _step(ctx, document_id) as (session, document):
        if document.state is DocumentState.COMPLETED:
            return False
        if document.format is None:
            # The file could not be taken in. It may be there by now: that is what a retry is for.
            read_again(session, document, max_file_bytes=ctx.hub.settings.max_file_bytes)
        if document.format is None:
            raise BadDocument(Problem(document.error_kind or ""), document.error or "")
        stages.start(session, document)
        return document.indexing_at is None


def _cut(ctx: Context, document_id: int) -> None:
    with tempfile.TemporaryFile() as file:
        with _step(ctx, document_id) as (session, document):
            fetch(session, document_id, file)
            kind = Format(document.format or "")
            dataset = session.get_one(Dataset, document.dataset_id)
            tokens, overlap = dataset.segment_tokens, dataset.segment_overlap_tokens
        with Spool(extract(file, kind)) as raw:
            with _step(ctx, document_id) as (session, document):
                stages.enter(session, document, DocumentState.CLEANING)
            text = Spool(clean(block) for block in raw.blocks())
    with text:
        with _step(ctx, document_id) as (session, document):
            document.characters = text.characters
            stages.enter(session, document, DocumentState.SPLITTING)
        _discard(ctx, document_id)
        pieces = split(
            text.blocks(), tokens=tokens, overlap=overlap, markdown=kind is Format.MARKDOWN
        )
        position = 0
        while batch := list(itertools.islice(pieces, STORE_SEGMENTS)):
            with _step(ctx, document_id) as (session, document):
                store(session, document, batch, position)
            position += len(batch)
    with _step(ctx, document_id) as (session, document):
        if document.segments_total == 0:
            raise BadDocument(Problem.NO_TEXT, f"no text in the {kind.value} file after cleaning")
        stages.enter(session, document, DocumentState.INDEXING)


def _discard(ctx: Context, document_id: int) -> None:
    """A crash between two batches left segments, or the document is indexed again."""
    while True:
        with _step(ctx, document_id) as (session, _):
            if not discard(session, document_id, CLEAN_ROWS):
                return


def _made_findable(ctx: Context, document_id: int) -> dict[str, int]:
    while True:
        with _step(ctx, document_id) as (session, document):
            if document.state is not DocumentState.COMPLETED:
                dataset = session.get_one(Dataset, document.dataset_id)
                is_economy = dataset.technique is Technique.ECONOMY
                model = None if is_economy else embedder(dataset.embedding_model)
                batch = index(session, document_id, model, limit=INDEX_SEGMENTS)
                if batch.done or batch.left_out:
                    continue
                session.refresh(document)
                stages.complete(session, document)
                ctx.log.info("document indexed", extra={"document_id": document_id})
            return {
                "segments": document.segments_total,
                "tokens": document.tokens,
                "characters": document.characters,
            }


@contextmanager
def _step(ctx: Context, document_id: int) -> Iterator[tuple[Session, Document]]:
    """One transaction of the pipeline; between two of them a pause, cancel or removal is seen."""
    if ctx.cancelled:
        raise Fail("stopped between two batches, as somebody or the end of the worker asked")
    with ctx.hub.transaction() as session:
        document = stages.load(session, document_id)
        if document.state is DocumentState.PAUSED:
            raise Paused
        yield session, document


# 2. A dataset goes, with all that belongs to it.


@kb.task(
    name="clean_dataset",
    queue="cleaning",
    lock="dataset:{dataset_id}",
    retry=Backoff(max_attempts=3),
)
def clean_dataset(ctx: Context, dataset_id: int) -> dict[str, int]:
    """Remove a dataset's rows in batches, each its own transaction; rows gone, by kind.

    It ends as failed, with the reasons, when rows could not go; the others are gone all the same.
    """
    with ctx.hub.transaction() as session:
        cleaning.mark_deleted(session, dataset_id)
    gone: dict[str, int] = {}
    aside: list[str] = []
    place: cleaning.Place | None = cleaning.Place()
    while place is not None:
        if ctx.cancelled:
            raise Fail("stopped between two batches, as somebody or the end of the worker asked")
        with ctx.hub.transaction() as session:
            batch = cleaning.clean_batch(session, dataset_id, CLEAN_ROWS, place=place)
        for name, number in batch.gone.items():
            gone[name] = gone.get(name, 0) + number
        aside += [f"{kind} {key}: {reason}" for kind, key, reason in batch.set_aside]
        place = batch.following
    ctx.log.info("dataset cleaned", extra={"dataset_id": dataset_id, "gone": gone})
    if aside:
        raise Fail(f"{len(aside)} rows could not go: {'; '.join(aside[:5])}")
    return gone


# The ways in: each stores what makes the work necessary and defers it in one transaction.


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


def delete_dataset(hub: Hub, dataset_id: int) -> int | None:
    """Hide a dataset at once and remove it in the background; the id of the job, None if it is gone."""
    with hub.transaction() as session:
        if not cleaning.mark_deleted(session, dataset_id):
            return None
        return clean_dataset.options(session=session).defer(dataset_id).id
