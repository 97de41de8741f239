"""Which queue's turn it is in a worker that serves several by weight."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from taskhub.queue.storable import MAX_NAME_BYTES, check_text

MOST_WEIGHT = 1000


class Shares:
    """Start-time fair queueing over the queues of one worker.

    A queue's turn moves on by 1 / weight for each job it gives; the lowest turn is next. So the shares
    hold over time, also where slots come free one at a time. A queue that was idle starts where the
    others are: it has saved nothing up.
    """

    def __init__(self, weights: Mapping[str, int]) -> None:
        self._weights = dict(weights)
        self._turns = dict.fromkeys(weights, 0.0)

    def draw(self, slots: int) -> tuple[list[str], dict[str, int]]:
        """The queues, whose turn is first in front, and how many of the slots are each one's."""
        heap = [(turn, n, queue) for n, (queue, turn) in enumerate(self._turns.items())]
        heapq.heapify(heap)
        order = [queue for _, _, queue in sorted(heap)]
        drawn = dict.fromkeys(order, 0)
        for _ in range(slots):
            turn, n, queue = heap[0]
            drawn[queue] += 1
            heapq.heapreplace(heap, (turn + 1 / self._weights[queue], n, queue))
        return order, drawn

    def took(self, drawn: Mapping[str, int], queues: Iterable[str]) -> None:
        """What was drawn, and the queue of each job that was claimed."""
        claimed = Counter(queues)
        for queue, jobs in claimed.items():
            self._turns[queue] += jobs / self._weights[queue]
        idle = {queue for queue, jobs in drawn.items() if claimed[queue] < jobs}
        busy = [turn for queue, turn in self._turns.items() if claimed[queue] and queue not in idle]
        for queue in idle if busy else ():
            self._turns[queue] = max(self._turns[queue], min(busy))


def check_weights(queues: Sequence[str] | Mapping[str, int]) -> Mapping[str, int] | None:
    """The weights of queues, None where only names are given.

    Raises:
        ValueError: one of them cannot be.
    """
    for queue in queues:
        check_text(queue, "queue", MAX_NAME_BYTES)
    if not isinstance(queues, Mapping):
        return None
    return {queue: check_weight(weight, f"weight of {queue!r}") for queue, weight in queues.items()}


def check_weight(weight: Any, what: str = "weight") -> int:
    """`weight`, if it can be one.

    Raises:
        ValueError: it is not.
    """
    if isinstance(weight, bool) or not isinstance(weight, int) or not 1 <= weight <= MOST_WEIGHT:
        raise ValueError(f"{what} must be a whole number from 1 to {MOST_WEIGHT}, got {weight!r}")
    return weight
