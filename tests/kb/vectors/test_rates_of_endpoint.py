"""Requests and tokens a minute of an endpoint are both kept, by what it counts itself."""

import dataclasses
import time
from collections.abc import Iterator
from typing import Any

import pytest

from taskhub import Hub, app
from taskhub.kb.datasets.models import Dataset
from taskhub.kb.ways_in import vectors as ways_in
from taskhub.settings import Settings
from tests.kb.makers import make_dataset, make_indexed
from tests.kb.vectors.endpoint import WIDTH, Endpoint, answer
from tests.waiting import until

REQUESTS_A_SECOND = 10
TOKENS_A_SECOND = 500
# A start is seen here later than it was counted; two of them may be so late and so early.
SLACK_SECONDS = 0.5


@pytest.fixture
def hub(settings: Settings, endpoint: Endpoint) -> Iterator[Hub]:
    made = app.build(
        dataclasses.replace(
            settings,
            embedding_url=endpoint.url,
            embedding_dimensions=WIDTH,
            embedding_batch=1,
            embedding_requests_per_minute=60 * REQUESTS_A_SECOND,
            embedding_tokens_per_minute=60 * TOKENS_A_SECOND,
        )
    )
    yield made
    made.close()


def asked_of(hub: Hub, endpoint: Endpoint, *texts: str, tokens: int) -> list[float]:
    """When each text was asked for, by an endpoint that counts so many tokens for each."""
    times: list[float] = []

    def counting(given: list[str]) -> tuple[int, dict[str, str], Any]:
        times.append(time.monotonic())
        return answer(given, usage={"total_tokens": tokens})

    endpoint.always = counting
    with hub.transaction() as session:
        dataset = make_dataset(session)
        make_indexed(session, dataset, *texts)
        dataset_id = dataset.id
    ways_in.change_model(hub, dataset_id, "far")

    def is_over() -> bool:
        hub.run_worker(wait=False)
        with hub.transaction() as session:
            return session.get_one(Dataset, dataset_id).embedding_model == "far"

    until(is_over, "the change", seconds=60)
    assert len(times) == len(texts)
    return times


def most_in_any_window(times: list[float], each: int, a_second: int) -> float:
    """How far the worst window is above its share of the rate."""
    return max(
        (j - i + 1) * each - a_second * (times[j] - times[i] + SLACK_SECONDS)
        for i in range(len(times))
        for j in range(i, len(times))
    )


def test_small_requests_are_held_by_their_number(hub: Hub, endpoint: Endpoint) -> None:
    times = asked_of(hub, endpoint, *(f"Otter {n}." for n in range(18)), tokens=3)

    assert most_in_any_window(times, 1, REQUESTS_A_SECOND) <= REQUESTS_A_SECOND
    assert times[-1] - times[0] >= (18 - REQUESTS_A_SECOND - 1) / REQUESTS_A_SECOND


def test_large_requests_are_held_by_their_tokens_also_by_those_that_nobody_foresaw(
    hub: Hub, endpoint: Endpoint
) -> None:
    # About 60 tokens each by our own count: four times as many are settled afterwards.
    texts = [f"The otter number {n} " + "swims in the river and eats. " * 5 for n in range(6)]
    times = asked_of(hub, endpoint, *texts, tokens=250)

    assert most_in_any_window(times, 250, TOKENS_A_SECOND) <= TOKENS_A_SECOND + 250
    assert times[-1] - times[0] >= (6 * 250 - TOKENS_A_SECOND - 2 * 250) / TOKENS_A_SECOND
