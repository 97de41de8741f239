"""A model behind HTTP: what it says well, badly, late or not at all."""

import threading
from email.utils import formatdate
from typing import Any

import numpy
import pytest

from taskhub.kb.vectors.embed import Made, NoVector, make
from taskhub.kb.vectors.embedders import UnknownEmbedder, embedder
from taskhub.kb.vectors.failures import EndpointBusy, EndpointFailed, EndpointRefused
from taskhub.kb.vectors.remote import Remote
from taskhub.settings import Settings
from tests.kb.vectors.endpoint import WIDTH, Endpoint, answer, vector_of

TEXTS = ["one", "two two", "three three three"]


def model_of(endpoint: Endpoint, **chosen: Any) -> Remote:
    settings = Settings(embedding_url=endpoint.url, **{"embedding_dimensions": WIDTH} | chosen)
    made = embedder("remote", settings)
    assert isinstance(made, Remote)
    return made


def made_of(model: Remote, texts: list[str]) -> list[Made]:
    return list(make({text: text for text in texts}, model).values())


def is_of(made: Made, text: str) -> bool:
    return not isinstance(made, NoVector) and numpy.allclose(made, vector_of(text))


def test_texts_are_asked_for_in_batches_with_the_key_and_the_answers_tokens_are_counted(
    endpoint: Endpoint,
) -> None:
    model = model_of(endpoint, embedding_batch=2, embedding_api_key="secret")

    made = made_of(model, TEXTS)

    assert all(is_of(one, text) for one, text in zip(made, TEXTS, strict=True))
    assert endpoint.asked == [TEXTS[:2], TEXTS[2:]]
    assert endpoint.keys == ["Bearer secret"] * 2
    assert model.tokens_used == 6
    assert model.tokens_used == 0


def test_the_index_says_which_vector_is_whose(endpoint: Endpoint) -> None:
    endpoint.scripts = [lambda texts: answer(texts, data=list(reversed(answer(texts)[2]["data"])))]

    made = made_of(model_of(endpoint), TEXTS)

    assert all(is_of(one, text) for one, text in zip(made, TEXTS, strict=True))


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ([float("nan")] * WIDTH, "NaN or infinity"),
        ([None] * WIDTH, "NaN or infinity"),
        ([1.0] * 7, f"width 7, not {WIDTH}"),
        ([], f"width 0, not {WIDTH}"),
        (["one"] * WIDTH, "no list of numbers"),
        ("AAAA", "no list of numbers"),
        (None, f"not {WIDTH}"),
        ([[1.0], [1.0, 2.0]], "no list of numbers"),
    ],
    ids=["nan", "null", "short", "empty", "words", "base64", "none", "ragged"],
)
def test_a_wrong_vector_is_its_texts_error_and_shifts_no_neighbour(
    endpoint: Endpoint, wrong: Any, reason: str
) -> None:
    def script(texts: list[str]) -> tuple[int, dict[str, str], Any]:
        data = answer(texts)[2]["data"]
        data[1]["embedding"] = wrong
        return answer(texts, data=data)

    endpoint.scripts = [script]

    first, second, third = made_of(model_of(endpoint), TEXTS)

    assert is_of(first, "one")
    assert is_of(third, TEXTS[2])
    assert isinstance(second, NoVector)
    assert reason in second.reason


def test_an_answer_with_a_vector_too_few_is_asked_for_again_text_by_text(
    endpoint: Endpoint,
) -> None:
    endpoint.scripts = [lambda texts: answer(texts[1:])]

    made = made_of(model_of(endpoint), TEXTS)

    assert all(is_of(one, text) for one, text in zip(made, TEXTS, strict=True))
    assert endpoint.asked[1:] == [[text] for text in TEXTS]


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_text_that_the_endpoint_refuses_is_that_texts_error(
    endpoint: Endpoint, status: int
) -> None:
    endpoint.always = lambda texts: (
        (status, {}, {"error": "too long"}) if "two two" in texts else answer(texts)
    )

    first, second, third = made_of(model_of(endpoint), TEXTS)

    assert is_of(first, "one")
    assert is_of(third, TEXTS[2])
    assert isinstance(second, NoVector)
    assert str(status) in second.reason
    assert "too long" in second.reason


@pytest.mark.parametrize(
    ("headers", "least", "most"),
    [
        ({"Retry-After": "7"}, 7, 7),
        ({"Retry-After": formatdate(usegmt=True)}, 0, 1),
        ({"Retry-After": "soon"}, None, None),
        ({}, None, None),
    ],
)
def test_too_many_requests_says_for_how_long(
    endpoint: Endpoint, headers: dict[str, str], least: float | None, most: float | None
) -> None:
    endpoint.scripts = [lambda _: (429, headers, {"error": "slow down"})]

    with pytest.raises(EndpointBusy, match="429") as raised:
        made_of(model_of(endpoint), TEXTS)

    wait = raised.value.retry_after
    assert wait is least is None or (wait is not None and (least or 0) <= wait <= (most or 0))


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408])
def test_what_may_work_another_time_is_no_error_of_the_texts(
    endpoint: Endpoint, status: int
) -> None:
    endpoint.scripts = [lambda _: (status, {}, b"oops")]

    with pytest.raises(EndpointFailed, match=f"answered {status}"):
        made_of(model_of(endpoint), TEXTS)


def test_an_endpoint_that_is_too_slow_or_not_there_has_failed(endpoint: Endpoint) -> None:
    let_go = threading.Event()

    def late(texts: list[str]) -> tuple[int, dict[str, str], Any]:
        let_go.wait(30)
        return answer(texts)

    endpoint.scripts = [late]
    try:
        with pytest.raises(EndpointFailed, match="gave no answer"):
            made_of(model_of(endpoint, embedding_timeout_seconds=0.2), TEXTS)
    finally:
        let_go.set()
    nowhere = Settings(embedding_url="http://127.0.0.1:1/v1", embedding_dimensions=WIDTH)
    with pytest.raises(EndpointFailed, match="gave no answer"):
        embedder("remote", nowhere).embed(TEXTS)


@pytest.mark.parametrize(
    ("status", "body"),
    [(401, b"no key"), (404, b"no model"), (200, b"<html>"), (200, b"[]"), (200, b'{"data": 3}')],
)
def test_an_endpoint_that_will_never_answer_is_named(
    endpoint: Endpoint, status: int, body: bytes
) -> None:
    endpoint.always = lambda _: (status, {}, body)

    with pytest.raises(EndpointRefused, match=r"gave|answered"):
        made_of(model_of(endpoint), TEXTS)


def test_the_width_that_is_set_is_asked_for_and_demanded(endpoint: Endpoint) -> None:
    model = model_of(endpoint, embedding_dimensions=256)

    [made] = made_of(model, ["one"])

    assert endpoint.requests[0]["dimensions"] == 256
    assert made == NoVector("remote gave a vector of width 384, not 256")


def test_a_width_that_is_not_set_is_the_first_answers(endpoint: Endpoint) -> None:
    model = model_of(endpoint, embedding_dimensions=0)

    assert model.width == WIDTH
    assert model.width == WIDTH
    assert len(endpoint.requests) == 1
    assert "dimensions" not in endpoint.requests[0]


def test_without_an_endpoint_a_name_must_be_a_local_models() -> None:
    with pytest.raises(UnknownEmbedder, match="set embedding_url"):
        embedder("remote", Settings())
