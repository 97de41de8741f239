"""What the user's code logs while a job runs, kept with the attempt.

Whatever the loggers let through is kept, in coroutines and threads alike: no level is changed, so
an INFO line needs a logger whose effective level is INFO (`taskhub worker` sets the root's).
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from taskhub.queue.attempts import cut, storable
from taskhub.queue.context import Context, running
from taskhub.queue.secret import hide_in_record

MAX_BYTES = 16_384
MAX_MESSAGES = 200
MAX_MESSAGE = 4_000
# Attempts whose lines nobody took: a thread that outlived its job goes on logging for it.
MAX_ATTEMPTS = 2_000

Sink = Callable[[Context, logging.LogRecord, str], None]

# The worker's own talk about a job is no part of it.
_OURS = frozenset({"taskhub.worker", "taskhub.lease", "taskhub.notify", "taskhub.events"})
_formatter = logging.Formatter()


@contextmanager
def capture(sink: Sink | None = None) -> Iterator[None]:
    """Keep the lines of every job that runs meanwhile; one for a worker's life, several may overlap.

    In a child process `sink` is given each line instead, to send it to the worker.

    It stands where records are made. A handler on the root logger would switch off
    `logging.basicConfig` and the last resort for the whole program, would miss loggers that do not
    propagate, and would be gone after the next `dictConfig`.
    """
    _kept.open(sink)
    try:
        yield
    finally:
        _kept.close()


def keep(context: Context, line: str) -> None:
    """Add a line that came from a child process to those of an attempt."""
    _kept.add(context, line)


def take(context: Context) -> str | None:
    """The lines of an attempt that is over, or None if it logged nothing; they are let go of."""
    lines = _kept.pop(context)
    return None if lines is None else lines.text()


class _Lines:
    """The first and the last messages of one attempt; what lies between is counted."""

    def __init__(self, context: Context) -> None:
        self.context = context  # held, so that its id is nobody else's
        self._head: list[str] = []
        self._tail: deque[str] = deque()
        self._head_bytes = self._tail_bytes = self._left_out = 0

    def add(self, line: str) -> None:
        size = len(line.encode()) + 1
        fits = len(self._head) < MAX_MESSAGES // 2 and self._head_bytes + size <= MAX_BYTES // 2
        if fits and not self._tail and not self._left_out:
            self._head.append(line)
            self._head_bytes += size
            return
        self._tail.append(line)
        self._tail_bytes += size
        while len(self._tail) > MAX_MESSAGES // 2 or self._tail_bytes > MAX_BYTES // 2:
            self._tail_bytes -= len(self._tail.popleft().encode()) + 1
            self._left_out += 1

    def text(self) -> str:
        middle = [f"… {self._left_out} messages left out …"] if self._left_out else []
        return "\n".join([*self._head, *middle, *self._tail])


class _Tap:
    """A factory of records over the one that was there; it passes on every record as it is."""

    def __init__(self, below: Callable[..., logging.LogRecord], sink: Sink | None = None) -> None:
        self.below = below
        self._sink = sink
        self.is_open = True

    def __call__(self, *args: Any, **kwargs: Any) -> logging.LogRecord:
        record = self.below(*args, **kwargs)
        context = running.get()
        if context is not None and self.is_open and record.name not in _OURS:
            if context.hidden:
                hide_in_record(record, context.hidden)
            if self._sink is not None:
                self._sink(context, record, _line(record))
            else:
                _kept.add(context, _line(record))
        return record


class _Kept:
    """The lines of the attempts that run; nothing is made for one before its first line."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._captures = 0
        self._tap = _Tap(logging.LogRecord)
        self._lines: dict[int, _Lines] = {}

    def open(self, sink: Sink | None) -> None:
        with self._lock:
            self._captures += 1
            if self._captures == 1:
                self._tap = _Tap(logging.getLogRecordFactory(), sink)
                logging.setLogRecordFactory(self._tap)

    def close(self) -> None:
        with self._lock:
            self._captures -= 1
            if self._captures == 0:
                self._lines.clear()
                self._tap.is_open = False
                # Where somebody has put a factory over ours meanwhile, ours stays below it.
                if logging.getLogRecordFactory() is self._tap:
                    logging.setLogRecordFactory(self._tap.below)

    def add(self, context: Context, line: str) -> None:
        with self._lock:
            lines = self._lines.get(id(context))
            if lines is None:
                if len(self._lines) >= MAX_ATTEMPTS:
                    del self._lines[next(iter(self._lines))]
                lines = self._lines[id(context)] = _Lines(context)
            lines.add(line)

    def pop(self, context: Context) -> _Lines | None:
        return self._lines.pop(
            id(context), None
        )  # one step, so without the lock: every job comes here


_kept = _Kept()


def message(record: logging.LogRecord) -> str:
    """What a record says, without what Postgres refuses, and not at any length."""
    return cut(storable(_message(record)), MAX_MESSAGE)


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 - what does not fit its arguments is the user's, not a failure
        return f"{record.msg!r} with arguments that do not fit"


def _line(record: logging.LogRecord) -> str:
    parts = [_message(record)]
    if record.exc_info and record.exc_info[0] is not None:
        parts.append(record.exc_text or _formatter.formatException(record.exc_info))
    if record.stack_info:
        parts.append(record.stack_info)
    at = datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
    told = cut(storable("\n".join(parts)), MAX_MESSAGE)
    return f"{at}Z {record.levelname} {storable(record.name)}: {told}"
