"""How far a running job is: told by its task, sent now and then, all jobs of a process together."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from taskhub.queue.attempts import storable

if TYPE_CHECKING:
    from taskhub.queue.context import Context

logger = logging.getLogger("taskhub.worker")
# At most so often goes a statement, however many jobs and reports there are.
EVERY_SECONDS = 0.5
IDLE_SECONDS = 5.0
# How long the end of a job waits for its last report to be stored.
PATIENCE_SECONDS = 5.0
MOST_NOTE = 200
MOST_NUMBER = 1e15


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a job is, as its task said last.

    Attributes:
        out_of: how much there is to do; None where it was not said.
        attempt: the one that said it; a later one may not have spoken yet.
    """

    done: float
    out_of: float | None
    note: str
    attempt: int
    at: datetime

    @property
    def share(self) -> float | None:
        """From 0 to 1, where it is known how much there is to do."""
        return None if self.out_of is None else min(self.done / self.out_of, 1.0)

    def __str__(self) -> str:
        """For people: 30 of 120 (25 %), reading."""
        parts = [_number(self.done)]
        if self.out_of is not None and self.share is not None:
            parts.append(f"of {_number(self.out_of)} ({self.share:.0%})".replace("%", " %"))
        return " ".join(parts) + (f", {self.note}" if self.note else "")


def _number(value: float) -> str:
    return str(int(value)) if value.is_integer() else f"{value:.2f}"


@dataclass(frozen=True, slots=True)
class Report:
    """One word of a task about how far it is, checked."""

    done: float
    out_of: float | None
    note: str

    @classmethod
    def of(cls, done: float, of: float | None, note: str) -> Report:
        """What was given.

        Raises:
            TypeError: it is no number, or no text.
            ValueError: a number that cannot be.
        """
        given: dict[str, Any] = {"done": done, "of": of}
        for name, value in given.items():
            if value is None and name == "of":
                continue
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise TypeError(f"{name} must be a number, got {value!r:.100}")
            if not 0 <= value <= MOST_NUMBER or (name == "of" and value == 0):
                least = "above 0" if name == "of" else "0 or more"
                raise ValueError(f"{name} must be {least} and at most 1e15, got {value!r:.100}")
        if not isinstance(note, str):
            raise TypeError(f"note must be a text, got {type(note).__name__}")
        return cls(done, of, storable(note[:MOST_NOTE]))


Send = Callable[[Sequence[tuple["Context", Report]]], None]


class Reporter:
    """Sends the newest report of each job, the last one of a job before its outcome is stored.

    `send` is called by one thread at a time, that of the reporter or one in which a job ends.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self._unsent: dict[tuple[int, int], tuple[Context, Report]] = {}
        self._changed = threading.Condition()
        self._sending = threading.Lock()
        self._thread: threading.Thread | None = None
        self._sent_at = float("-inf")

    def report(self, context: Context, report: Report) -> None:
        """Note how far a job is; never waits for the database."""
        with self._changed:
            self._unsent[context.job_id, context.claim] = (context, report)
            # A thread does not live on in a process that was forked.
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(
                    target=self._run, name="taskhub-progress", daemon=True
                )
                self._thread.start()
            self._changed.notify()

    def settle(self) -> None:
        """Send what is not sent; when it returns, what was reported before is stored."""
        with self._sending:
            with self._changed:
                unsent, self._unsent = list(self._unsent.values()), {}
            if not unsent:
                return
            try:
                self._send(unsent)
            except Exception as error:  # noqa: BLE001 - the job is what counts, the next report comes
                logger.warning("progress not stored", extra={"error": str(error)})
            self._sent_at = time.monotonic()

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._unsent and not self._changed.wait(IDLE_SECONDS) and not self._unsent:
                    self._thread = None
                    return
                while (left := self._sent_at + EVERY_SECONDS - time.monotonic()) > 0:
                    self._changed.wait(left)
            self.settle()


def as_json(reports: Sequence[tuple[Context, Report]]) -> str:
    """Reports as report_progress_v1 takes them."""
    return json.dumps([_told(context, report) for context, report in reports])


def _told(context: Context, report: Report) -> dict[str, Any]:
    return {
        "job_id": context.job_id,
        "claim": context.claim,
        "worker_id": context.worker_id,
        "attempt": context.attempt,
        "done": report.done,
        "out_of": report.out_of,
        "note": report.note,
    }


async def settle(reporter: Reporter, threads: Executor) -> None:
    """Send what is not sent, beside the event loop; the job has ended, and no cancel changes that."""
    sending = asyncio.get_running_loop().run_in_executor(threads, reporter.settle)
    with suppress(asyncio.CancelledError):
        await asyncio.wait([sending], timeout=PATIENCE_SECONDS)
