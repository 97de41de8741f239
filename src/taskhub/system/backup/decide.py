"""What becomes of a queue that a restore left paused: run, discard or hold."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import TYPE_CHECKING

from taskhub.queue import actions, insight
from taskhub.queue.filters import JobFilter

if TYPE_CHECKING:
    from taskhub.queue import Hub

CHUNK = 1000


class Decision(enum.StrEnum):
    """For one queue."""

    RUN = "run"
    DISCARD = "discard"
    HOLD = "hold"


def decide(
    hub: Hub,
    queue: str,
    decision: Decision,
    *,
    reason: str,
    told: Callable[[int], None] = lambda _: None,
) -> int:
    """Let the queue run, or cancel all that waits in it and then let it run, or leave it paused.

    How many jobs were cancelled; `told` hears the number after each thousand. Each job is cancelled
    in a transaction of its own, with `reason` in its history.
    """
    if decision is Decision.HOLD:
        return 0
    cancelled = _discard(hub, queue, reason, told) if decision is Decision.DISCARD else 0
    hub.resume(queue=queue)
    return cancelled


def _discard(hub: Hub, queue: str, reason: str, told: Callable[[int], None]) -> int:
    done = 0
    waiting = JobFilter(queues=(queue,), statuses=("todo",))
    while lines := insight.jobs(hub, waiting, limit=CHUNK):
        ended = actions.cancel(hub, [line.id for line in lines], reason=reason)
        cancelled = sum(one.outcome == "cancelled" for one in ended)
        if not cancelled:
            break  # somebody else holds what is left
        done += cancelled
        told(done)
    return done
