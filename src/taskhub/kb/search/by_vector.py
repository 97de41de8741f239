"""Passages whose vectors lie nearest to the question's."""

from collections.abc import Iterable
from functools import cache

from sqlalchemy import Select
from sqlalchemy.orm import Session

from taskhub.kb.search.fusion import Match
from taskhub.kb.search.scope import SMALL, Scope, Shape, among, segment_ids
from taskhub.kb.segments.models import Segment
from taskhub.kb.vectors.embed import NoVector, embed
from taskhub.kb.vectors.embedders import embedder
from taskhub.kb.vectors.store import store


def by_vector(
    session: Session, question: str, scope: Scope, model_name: str, *, depth: int, size: int
) -> list[Match]:
    """Up to `depth` findable segments, the nearest first; scores are 1 - cosine distance.

    `size` is the scope's. Reads in the caller's transaction and sets HNSW options for its rest.

    Raises:
        ValueError: the model makes no vector of the question.
    """
    vector = embed(session, [question], embedder(model_name))[0]
    if isinstance(vector, NoVector):
        raise ValueError(f"question must be a text that can be embedded: {vector.reason}")
    each = any(scope.shape) or size <= SMALL
    wanted = depth
    while True:
        nearest = store(session).nearest(
            session, vector, model_name, scope.values["dataset_ids"], wanted,
            segment_ids=segment_ids(scope.shape) if each else None,
            values=scope.values if each else {},
        )  # fmt: skip
        distances: dict[int, float] = {}
        for segment_id, distance in nearest:
            distances.setdefault(segment_id, distance)  # a parent counts by its nearest child
        findable = set(distances) if each else _findable(session, scope, distances)
        found = [Match(i, 1 - d) for i, d in distances.items() if i in findable]
        # What is disabled or archived took places: look further, until the store has no more.
        if len(found) >= depth or len(nearest) < wanted:
            return found[:depth]
        wanted *= 4


def _findable(session: Session, scope: Scope, ids: Iterable[int]) -> set[int]:
    given = scope.values | {"ids": list(ids)}
    return set(session.scalars(_which_are_findable(scope.shape), given))


@cache
def _which_are_findable(shape: Shape) -> Select[int]:
    return segment_ids(shape).where(among(Segment.id, "ids"))
