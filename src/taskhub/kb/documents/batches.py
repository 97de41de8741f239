"""Documents that were added together: a parent whose counts are those of its documents."""

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from taskhub.kb.datasets.models import Dataset
from taskhub.kb.documents.models import DocumentBatch
from taskhub.kb.documents.state import Condition, document_states


class UnknownBatch(LookupError):
    """There is no such batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchStatus:
    """How far a batch is.

    Attributes:
        total: paths that came; None while they still come.
        refused: paths of which no document could be made.
        documents: documents that there are by now, one that was deleted since is not counted.
        done, failed: documents that are findable, and that ended in a named error or were cancelled.
        working: documents that wait, are worked on, are paused or interrupted.
    """

    batch_id: int
    dataset_id: int
    total: int | None
    refused: int
    documents: int
    done: int
    failed: int
    working: int

    @property
    def is_over(self) -> bool:
        """Whether nothing of it is left to do."""
        return self.total is not None and self.working == 0


def open_batch(session: Session, dataset: Dataset) -> DocumentBatch:
    """A new batch, flushed in the caller's transaction; `close_batch` says when all has come."""
    batch = DocumentBatch(tenant_id=dataset.tenant_id, dataset_id=dataset.id)
    session.add(batch)
    session.flush()
    return batch


def close_batch(session: Session, batch_id: int, *, total: int, refused: int) -> None:
    """Say how many paths came, in the caller's transaction; a batch that was deleted is left so."""
    batch = session.get(DocumentBatch, batch_id)
    if batch is not None:
        batch.total, batch.refused = total, refused
        session.flush()


def batch_status(session: Session, batch_id: int) -> BatchStatus:
    """How far a batch is, told by the documents' own states.

    Raises:
        UnknownBatch: there is none.
    """
    batch = session.get(DocumentBatch, batch_id, populate_existing=True)
    if batch is None:
        raise UnknownBatch(f"batch {batch_id} does not exist; its dataset may have been deleted")
    condition = document_states.c.condition
    grouped = session.execute(
        select(condition, func.count())
        .where(document_states.c.batch_id == batch_id)
        .group_by(condition)
    )
    counted = {Condition(name): number for name, number in grouped}
    done = counted.get(Condition.COMPLETED, 0)
    failed = counted.get(Condition.FAILED, 0) + counted.get(Condition.CANCELLED, 0)
    documents = sum(counted.values())
    return BatchStatus(
        batch_id=batch.id,
        dataset_id=batch.dataset_id,
        total=batch.total,
        refused=batch.refused,
        documents=documents,
        done=done,
        failed=failed,
        working=documents - done - failed,
    )
