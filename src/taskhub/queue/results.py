"""Waiting for jobs to end: one thread of a hub looks for all who wait, in one statement."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from procrastinate.jobs import Status

FINAL = frozenset({Status.SUCCEEDED, Status.FAILED, Status.CANCELLED, Status.ABORTED})
FIRST_PAUSE_SECONDS = 0.02
LONGEST_PAUSE_SECONDS = 1.0
# Looks are at least so far apart while several wait: 200 statements a second, however many come.
GAP_SECONDS = 0.005
IDLE_SECONDS = 2.0

Row = Mapping[str, Any]
Look = Callable[[Sequence[int]], Sequence[Any]]


@dataclass(slots=True, eq=False)
class Ask:
    """Somebody who waits; `future` gets the job's row when it has ended, or when the time is up.

    It gets None for a job that there is not, and the error where the database cannot be asked.
    """

    job_id: int
    deadline: float | None
    future: Future[Row | None] = field(default_factory=Future)
    pause: float = FIRST_PAUSE_SECONDS
    next_at: float = field(default_factory=time.monotonic)

    def take(self, row: Row | None, now: float) -> bool:
        """Whether a look's row ends the wait; else the next look is set, each later than the last."""
        is_late = self.deadline is not None and now >= self.deadline
        if row is None or is_late or Status(row["status"]) in FINAL:
            with suppress(InvalidStateError):  # who waited has gone
                self.future.set_result(row)
            return True
        self.next_at = now + self.pause
        if self.deadline is not None:
            self.next_at = min(self.next_at, self.deadline)
        self.pause = min(self.pause * 1.5, LONGEST_PAUSE_SECONDS)
        return False


class Lookout:
    """Looks for all who wait in this process; `look` gives rows with id and status."""

    def __init__(self, look: Look) -> None:
        self._look = look
        self._asks: set[Ask] = set()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._looked_at = float("-inf")

    def ask(self, job_id: int, timeout: float | None) -> Future[Row | None]:
        """The row of the job, when it has ended or `timeout` seconds are over; cancel it to let go."""
        deadline = None if timeout is None else time.monotonic() + timeout
        ask = Ask(job_id, deadline)
        with self._changed:
            self._asks.add(ask)
            # A thread does not live on in a process that was forked.
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(
                    target=self._run, name="taskhub-results", daemon=True
                )
                self._thread.start()
            self._changed.notify()
        return ask.future

    def _run(self) -> None:
        while (due := self._due()) is not None:
            due = [ask for ask in due if not ask.future.cancelled()]
            if not due:
                continue
            try:
                found = {row["id"]: row for row in self._look(sorted({a.job_id for a in due}))}
            except Exception as error:  # noqa: BLE001 - it is raised where somebody waits
                for ask in due:
                    with suppress(InvalidStateError):
                        ask.future.set_exception(error)
                continue
            self._looked_at = now = time.monotonic()
            left = [ask for ask in due if not ask.take(found.get(ask.job_id), now)]
            with self._changed:
                self._asks.update(left)

    def _due(self) -> list[Ask] | None:
        """Those whose turn it is, taken out; waits for the first. None: nobody has come for long."""
        with self._changed:
            while True:
                now = time.monotonic()
                if not self._asks:
                    if not self._changed.wait(IDLE_SECONDS) and not self._asks:
                        self._thread = None
                        return None
                    continue
                first = min(ask.next_at for ask in self._asks)
                if len(self._asks) > 1:
                    first = max(first, self._looked_at + GAP_SECONDS)
                if first > now:
                    self._changed.wait(first - now)
                    continue
                # With them go those who would come soon: so all get into step.
                due = [ask for ask in self._asks if ask.next_at <= now + ask.pause / 2]
                self._asks.difference_update(due)
                return due
