"""What goes with a dataset, and how much it is."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from taskhub.kb.cleaning import batches, kinds
from taskhub.kb.segments.models import Segment


def owned(dataset_id: int) -> list[kinds.Kind]:
    """All that goes with the dataset, from the leaves to the dataset itself.

    The embedding cache stays: it belongs to no dataset.
    """
    return kinds.owned(kinds.table("datasets"), [dataset_id])


def count(session: Session, dataset_id: int) -> dict[str, int]:
    """How many rows of each kind the dataset has: what a clean-up would remove."""
    counts = batches.count(session, owned(dataset_id))
    counts["keywords"] = int(
        session.scalar(
            select(func.coalesce(func.sum(func.cardinality(Segment.keywords)), 0)).where(
                Segment.dataset_id == dataset_id
            )
        )
        or 0
    )
    return counts
