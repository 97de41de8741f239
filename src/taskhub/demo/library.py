"""Chapters on documents: a folder is stored, indexed by the worker, searched, and cleaned away."""

from pathlib import Path

from sqlalchemy.orm import Session

from taskhub.accounts.tenants import ensure
from taskhub.demo.stage import DemoBroken, Stage
from taskhub.kb.datasets import clean, create
from taskhub.kb.documents.state import Condition, DocumentStatus, statuses
from taskhub.kb.search import Hit, search
from taskhub.kb.ways_in import datasets, documents
from taskhub.queue import Hub, Job, Status

TENANT = "demo"
ENDED = (Condition.COMPLETED, Condition.FAILED, Condition.CANCELLED)


def fresh_dataset(stage: Stage, name: str) -> int:
    """The id of an empty dataset; what an earlier demo left under this name is cleaned away."""
    with stage.hub.transaction() as session:
        old = create.find(session, ensure(session, TENANT).id, name)
        old_id = old.id if old is not None else None
    if old_id is not None:
        remove(stage, old_id)
    with stage.hub.transaction() as session:
        return create.create(session, ensure(session, TENANT).id, name).id


def remove(stage: Stage, dataset_id: int) -> None:
    """Have the worker clean a dataset away."""
    job_id = datasets.delete_dataset(stage.hub, dataset_id)
    if (
        job_id is not None
        and stage.finish(Job(job_id, "clean_dataset", stage.hub)) is not Status.SUCCEEDED
    ):
        raise DemoBroken(f"clean_dataset failed; see `taskhub show {job_id}`")


def store(stage: Stage, dataset_id: int, paths: list[Path]) -> None:
    """Store files and defer their indexing, each in one transaction."""
    with stage.screen.bar("storing") as bar:
        for number, path in enumerate(paths, 1):
            documents.add_document(stage.hub, dataset_id, path)
            bar.at(number, len(paths))


def index(stage: Stage, dataset_id: int, number: int) -> list[DocumentStatus]:
    """Wait until the worker is through with all documents; where each of them stands then."""
    last: list[DocumentStatus] = []

    def all_ended() -> bool:
        with stage.hub.transaction() as session:
            last[:] = statuses(session, dataset_id, limit=100_000)
        ended = sum(document.condition in ENDED for document in last)
        segments = sum(document.segments_done for document in last)
        bar.at(ended, number, f"{segments} segments")
        return ended == number

    with stage.screen.bar("indexing") as bar:
        stage.until(all_ended, "indexing")
    return last


def ask(hub: Hub, dataset_id: int, question: str) -> list[Hit]:
    """The three best passages for a question."""
    with hub.transaction() as session:
        return search(session, question, [dataset_id], limit=3)


def show_hits(stage: Stage, question: str, hits: list[Hit]) -> None:
    """Print a question with its passages."""
    stage.screen.line(f"  ? {question}")
    for hit in hits:
        passage = " ".join(hit.text.split())
        stage.screen.line(f"    {hit.score:.2f}  {hit.document_name}: {passage[:150]}")


def rows(hub: Hub, dataset_id: int) -> dict[str, int]:
    """How many rows of each kind a dataset has."""
    with hub.transaction() as session:
        return _count(session, dataset_id)


def _count(session: Session, dataset_id: int) -> dict[str, int]:
    return clean.count(session, dataset_id)
