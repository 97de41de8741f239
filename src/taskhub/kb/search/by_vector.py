"""Passages whose vectors lie nearest to the question's."""

from collections.abc import Iterable
from functools import cache

from sqlalchemy import Select
from sqlalchemy.orm import Session

from taskhub.kb.search.fusion import Match
from taskhub.kb.search.scope import Scope, Shape, among, segment_ids
from taskhub.kb.segments.models import Segment
from taskhub.kb.vectors.binary import Vector
from taskhub.kb.vectors.embed import NoVector, cached, key_of, make
from taskhub.kb.vectors.embedders import Embedder
from taskhub.kb.vectors.store import store

# An index that is asked for more finds it slowly; then looking at each is no worse.
MOST_WANTED = 5_000


def vector_of(session: Session, question: str, model: Embedder) -> Vector:
    """From the cache if a text like this was embedded; a search adds nothing to it.

    Raises:
        ValueError: the model makes no vector of the question.
    """
    key = key_of(question)
    known = cached(session, [key], model) or make({key: question}, model)
    vector = known[key]
    if isinstance(vector, NoVector):
        raise ValueError(f"question must be a text that can be embedded: {vector.reason}")
    return vector


def by_vector(
    session: Session, vector: Vector, scope: Scope, *, model: str, size: int | None, depth: int
) -> list[Match]:
    """Up to `depth` findable segments, the nearest first; scores are 1 - cosine distance.

    `size` is the scope's, None if it is large. Sets HNSW options for the rest of the transaction.
    """
    each = size is not None
    wanted = depth
    while True:
        nearest = store(session).nearest(
            session,
            vector,
            model,
            scope.dataset_ids,
            wanted,
            segment_ids=segment_ids(scope.shape) if each else None,
            values=scope.values if each else {},
        )
        distances: dict[int, float] = {}
        for segment_id, distance in nearest:
            distances.setdefault(segment_id, distance)  # a parent counts by its nearest child
        findable = set(distances) if each else _findable(session, scope, distances)
        found = [Match(i, 1 - d) for i, d in distances.items() if i in findable]
        if len(found) >= depth or (each and len(nearest) < wanted):
            # Equal distances in one order always: pages must fit each other.
            return sorted(found, key=lambda match: (-match.score, match.segment_id))[:depth]
        # What is disabled or archived took places, or the index gave up before it came to these
        # datasets: look further, at last at each one, which is slow and right.
        each = each or len(nearest) < wanted or wanted > MOST_WANTED
        wanted *= 4


def _findable(session: Session, scope: Scope, ids: Iterable[int]) -> set[int]:
    given = scope.values | {"ids": list(ids)}
    return set(session.scalars(_which_are_findable(scope.shape), given))


@cache
def _which_are_findable(shape: Shape) -> Select[int]:
    return segment_ids(shape).where(among(Segment.id, "ids"))
