"""Waiting for a condition with a deadline, for tests that watch another process."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(condition: Callable[[], T], what: str, *, seconds: float = 20.0) -> T:
    """The first true answer of `condition`; fails the test when the time is up."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if answer := condition():
            return answer
        time.sleep(0.02)  # between two looks, not instead of one
    raise AssertionError(f"{what} did not happen within {seconds} seconds")
