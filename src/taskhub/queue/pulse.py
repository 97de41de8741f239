"""How a worker's loop is, for probes and metrics that must not ask the database."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from taskhub.queue.worker import Worker


class Pulse:
    """What one worker's loop did last; read it on the loop or in any thread.

    Attributes:
        has_started: whether it has been entered among the living.
        is_connected: whether its last turn with the database went well.
        database_errors: how often the database was lost or refused a statement.
        on_turn: called after each turn with its seconds.
    """

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._beat_at = time.monotonic()
        self.has_started = False
        self.is_connected = False
        self.database_errors = 0
        self.on_turn: list[Callable[[float], None]] = []

    def beat(self) -> float:
        """Tell that the loop comes round; the moment on the monotonic clock."""
        self._beat_at = time.monotonic()
        return self._beat_at

    def turned(self, began: float) -> None:
        """Tell that a turn which began then went well."""
        self.has_started = self.is_connected = True
        seconds = self.beat() - began
        for told in self.on_turn:
            told(seconds)

    def failed(self, *, is_lost: bool) -> None:
        """Tell that the database refused a statement, or went away."""
        self.database_errors += 1
        self.is_connected = self.is_connected and not is_lost

    @property
    def silent_seconds(self) -> float:
        """How long the loop has not come round."""
        return time.monotonic() - self._beat_at

    @property
    def busy(self) -> int:
        """How many jobs run here, those that share a call counted each."""
        return len(self._worker._tenure.runs) if self.has_started else 0  # noqa: SLF001 - a worker and its pulse are one thing seen from two sides

    @property
    def takes_jobs(self) -> bool:
        """Whether it claims jobs: it has started, and neither drains nor ends."""
        return self.has_started and self._worker.takes_jobs
