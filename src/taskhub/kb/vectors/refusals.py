"""Segments of which a model makes no vector, with the reason, as long as their text is the same."""

from collections.abc import Mapping
from typing import cast

from sqlalchemy import ColumnElement, Table, and_, delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from taskhub.kb.segments.models import Segment
from taskhub.kb.vectors.embedders import Embedder
from taskhub.kb.vectors.models import INDEXED, ExactVector, SegmentRefusal
from taskhub.kb.vectors.rows import UnknownWidth
from taskhub.kb.vectors.store import store


def is_refused(model: Embedder) -> ColumnElement[bool]:
    """Whether the model was found to make none of the segment's text."""
    return and_(
        SegmentRefusal.segment_id == Segment.id,
        SegmentRefusal.model == model.name,
        SegmentRefusal.sha256 == Segment.sha256,
    )


def refuse(
    session: Session, model: Embedder, sha256s: Mapping[int, str], refusals: Mapping[int, str]
) -> None:
    """Note why segments have no vector of the model, and remove the one they may have had."""
    if not refusals:
        return
    table = table_of(session, model)
    session.execute(
        delete(table).where(table.c.segment_id.in_(refusals), table.c.model == model.name)
    )
    new = insert(SegmentRefusal).values(
        [
            {"segment_id": i, "model": model.name, "sha256": sha256s[i], "reason": reason}
            for i, reason in sorted(refusals.items())
        ]
    )
    session.execute(
        new.on_conflict_do_update(
            index_elements=["segment_id"],
            set_={name: new.excluded[name] for name in ("model", "sha256", "reason")},
        )
    )


def forget_refusals(session: Session, dataset_id: int) -> None:
    """Have all of a dataset's segments tried again."""
    mine = select(Segment.id).where(Segment.dataset_id == dataset_id)
    session.execute(
        delete(SegmentRefusal)
        .where(SegmentRefusal.segment_id.in_(mine))
        .execution_options(synchronize_session=False)
    )


def table_of(session: Session, model: Embedder) -> Table:
    """The table of the model's vectors."""
    if store(session).name == "exact":
        return cast(Table, ExactVector.__table__)
    if model.width not in INDEXED:
        known = ", ".join(map(str, INDEXED))
        raise UnknownWidth(
            f"vectors must have a width of {known}, got {model.width} of {model.name}"
        )
    return INDEXED[model.width]
