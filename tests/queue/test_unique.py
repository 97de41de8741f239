"""Unique jobs: a second one is not stored while the first one counts, whatever happens to either."""

from typing import Any

import pytest

from taskhub import Hub, Task

Reset = Task[..., Any]


@pytest.fixture
def reset(hub: Hub) -> Reset:
    @hub.task(name="reset", queue="mail", unique="reset:{account_id}")
    def reset(account_id: int, language: str = "en-US") -> str:
        return f"{account_id} {language}"

    return reset


def test_while_a_job_waits_another_one_with_its_key_is_that_job(hub: Hub, reset: Reset) -> None:
    first = reset.defer(7)
    second = reset.defer(7)
    assert (second.id, second.is_new, first.is_new) == (first.id, False, True)
