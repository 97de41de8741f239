"""One ranking of what fits a question, made from its top downwards, so that its pages fit each other."""

import enum
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from sqlalchemy.orm import Session

from taskhub.kb.datasets.models import Dataset, Technique
from taskhub.kb.search.by_text import by_text
from taskhub.kb.search.by_vector import by_vector, vector_of
from taskhub.kb.search.fusion import WORDS_WEIGHT, Match, fused
from taskhub.kb.search.scope import Scope
from taskhub.kb.vectors.embedders import embedder
from taskhub.kb.vectors.failures import EndpointBusy, EndpointFailed
from taskhub.settings import Settings

logger = logging.getLogger(__name__)

MOST_HITS = 1_000
# How deep rankings are looked into, one step after the other until enough is found. Fusion answers
# half of what it looks at: a passage may be second in one list and tenth in another.
DEPTHS = (50, 200, 2 * MOST_HITS)


class Mode(enum.StrEnum):
    """How passages are compared with the question."""

    VECTOR = "vector"
    TEXT = "text"
    HYBRID = "hybrid"


@dataclass(frozen=True, slots=True)
class Asked:
    """What is searched for.

    Attributes:
        most: how many matches are wanted.
        narrowed: what a Scope takes beside its datasets.
    """

    question: str
    mode: Mode
    most: int
    narrowed: dict[str, Any]
    settings: Settings | None


@dataclass(frozen=True, slots=True)
class _List:
    """A ranking that can be made to any `depth=`, and its weight beside others."""

    weight: float
    make: Callable[..., list[Match]]


def best(session: Session, asked: Asked, datasets: Sequence[Dataset]) -> list[Match]:
    """At least `asked.most` matches if there are so many, the best first; scores never rise.

    Whatever `most` is, the same matches stand at the same places. To look deeper changes how a
    ranking begins, so what one step has found stays before all that the next step adds.
    """
    lists = _lists(session, asked, datasets)
    order: list[Match] = []
    for step in DEPTHS if lists else ():
        depth, answered = (step, step // 2) if len(lists) > 1 else (min(step, MOST_HITS), step)
        found = [(one.weight, one.make(depth=depth)) for one in lists]
        is_all = all(len(ranked) < depth for _, ranked in found)
        ranked = _merged([pair for pair in found if pair[1]])
        known = {match.segment_id for match in order}
        following = [match for match in ranked if match.segment_id not in known]
        ceiling = order[-1].score if order else 1.0
        order += [
            replace(match, score=min(match.score, ceiling))
            for match in (following if is_all else following[: answered - len(order)])
        ]
        if is_all or len(order) >= asked.most:
            break
    return order


def _merged(found: Sequence[tuple[float, list[Match]]]) -> list[Match]:
    if not found:
        return []
    return found[0][1] if len(found) == 1 else fused(found)


def _lists(session: Session, asked: Asked, datasets: Sequence[Dataset]) -> list[_List]:
    by_words: list[int] = []
    by_model: dict[str, list[int]] = {}
    for dataset in datasets:
        economy = dataset.technique is Technique.ECONOMY
        if economy or asked.mode is not Mode.VECTOR:
            by_words.append(dataset.id)
        if asked.mode is not Mode.TEXT and not economy:
            by_model.setdefault(dataset.embedding_model, []).append(dataset.id)
    known: dict[tuple[int, ...], tuple[Scope, int | None]] = {}

    def sized(ids: list[int]) -> tuple[Scope, int | None]:
        if tuple(ids) not in known:
            scope = Scope(dataset_ids=tuple(ids), **asked.narrowed).resolved(session)
            known[tuple(ids)] = scope, scope.size(session)
        return known[tuple(ids)]

    lists: list[_List] = []
    for model, ids in by_model.items():
        scope, size = sized(ids)
        with _tolerated(model, asked.mode):
            vector = vector_of(session, asked.question, embedder(model, asked.settings))
            lists.append(
                _List(1.0, partial(by_vector, session, vector, scope, model=model, size=size))
            )
    if by_words:
        scope, size = sized(by_words)
        lists.append(
            _List(WORDS_WEIGHT, partial(by_text, session, asked.question, scope, size=size))
        )
    return lists


@contextmanager
def _tolerated(model: str, mode: Mode) -> Iterator[None]:
    """In hybrid mode an endpoint that cannot answer now is no reason to find nothing."""
    try:
        yield
    except (EndpointBusy, EndpointFailed) as error:
        if mode is not Mode.HYBRID:
            raise
        logger.warning("search by words alone", extra={"model": model, "reason": str(error)})
