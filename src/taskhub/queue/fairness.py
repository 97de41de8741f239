"""Whose jobs take turns in a queue, and how many turns each has: said and seen at run time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from taskhub.queue.shares import check_weight
from taskhub.queue.storable import MAX_LOCK_BYTES, MAX_NAME_BYTES, check_text

if TYPE_CHECKING:
    from sqlalchemy import RowMapping

MOST_KEYS = 200


class _Database(Protocol):
    def read(self, statement: str, /, **parameters: Any) -> list[RowMapping]: ...


@dataclass(frozen=True, slots=True)
class FairKey:
    """A fair key with jobs that wait for their turns in one queue.

    Attributes:
        waiting: how many; of each priority, counting ends at 10,000.
        weight: how many turns it has for one of the others.
    """

    fair_key: str
    waiting: int
    weight: int


class Fairness:
    """What a hub can say of fair keys."""

    def weigh(self: _Database, queue: str, fair_key: str, weight: int) -> None:
        """Give a fair key of a queue so many turns for each one of the others; 1 is the default.

        From its next turn on, in every worker; commits by itself.

        Raises:
            ValueError: queue or key cannot be, or the weight is no whole number from 1 to 1000.
        """
        self.read(
            "weigh",
            queue=check_text(queue, "queue", MAX_NAME_BYTES),
            fair_key=check_text(fair_key, "fair_key", MAX_LOCK_BYTES),
            weight=check_weight(weight),
        )

    def fair_keys(self: _Database, queue: str, *, limit: int = MOST_KEYS) -> list[FairKey]:
        """The keys of a queue whose jobs wait for their turns, by name; at most `limit`."""
        return [FairKey(**row) for row in self.read("list_fair_keys", queue=queue, limit=limit)]
