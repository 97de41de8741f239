"""Passages whose vectors lie nearest to the question's."""

from collections.abc import Iterable
from functools import cache

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from taskhub.kb.search.fusion import Match
from taskhub.kb.search.scope import Scope, Shape, among, segment_ids
from taskhub.kb.segments.models import Segment
from taskhub.kb.vectors.embed import NoVector, embed
from taskhub.kb.vectors.embedders import embedder
from taskhub.kb.vectors.models import SegmentVector512

# How many of the index's nodes are kept in sight: recall@10 of 100,000 made-up vectors is 0.98
# at 100 and 0.99 at 128, for 0.1 ms more (2026-11). The index allows 1,000.
SIGHT = 128
MOST_SIGHT = 1_000
MOST_WANTED = 5_000


def by_vector(
    session: Session, question: str, scope: Scope, model_name: str, *, depth: int, size: int | None
) -> list[Match]:
    """Up to `depth` findable segments, the nearest first; scores are 1 - cosine distance.

    `size` is the scope's, None if it is large. Sets HNSW options for the rest of the transaction.

    Raises:
        ValueError: the model makes no vector of the question.
    """
    vector = embed(session, [question], embedder(model_name), keep=False)[0]
    if isinstance(vector, NoVector):
        raise ValueError(f"question must be a text that can be embedded: {vector.reason}")
    each = size is not None
    wanted = depth
    while True:
        nearest = _nearest(session, vector, model_name, scope, wanted, each=each)
        distances: dict[int, float] = {}
        for segment_id, distance in nearest:
            distances.setdefault(segment_id, distance)  # a parent counts by its nearest child
        findable = set(distances) if each else _findable(session, scope, distances)
        found = [Match(i, 1 - d) for i, d in distances.items() if i in findable]
        if len(found) >= depth or (each and len(nearest) < wanted):
            return found[:depth]
        # What is disabled or archived took places, or the index gave up before it came to these
        # datasets: look further, at last at each one, which is slow and right.
        each = each or len(nearest) < wanted or wanted > MOST_WANTED
        wanted *= 4


def _nearest(
    session: Session,
    vector: list[float],
    model_name: str,
    scope: Scope,
    limit: int,
    *,
    each: bool,
) -> list[tuple[int, float]]:
    """Segment ids and cosine distances, the nearest first; with `each`, of those that may be found."""
    distance = SegmentVector512.vector.cosine_distance(vector)
    query = select(SegmentVector512.segment_id, distance.label("distance")).where(
        SegmentVector512.model == model_name
    )
    if each:
        # The sum is no order that an index keeps, so every one of these few is compared.
        only = SegmentVector512.segment_id.in_(segment_ids(scope.shape))
        query = query.where(only).order_by(distance + 0, SegmentVector512.segment_id)
    else:
        # Without the iterative scan the index gives its nearest and the filter may leave none.
        session.execute(
            select(
                func.set_config("hnsw.iterative_scan", "strict_order", True),
                func.set_config("hnsw.ef_search", str(min(max(SIGHT, limit), MOST_SIGHT)), True),
            )
        )
        query = query.where(among(SegmentVector512.dataset_id, "dataset_ids")).order_by(distance)
    rows = session.execute(query.limit(limit), scope.values)
    return sorted(((i, d) for i, d in rows), key=lambda near: (near[1], near[0]))


def _findable(session: Session, scope: Scope, ids: Iterable[int]) -> set[int]:
    given = scope.values | {"ids": list(ids)}
    return set(session.scalars(_which_are_findable(scope.shape), given))


@cache
def _which_are_findable(shape: Shape) -> Select[int]:
    return segment_ids(shape).where(among(Segment.id, "ids"))
