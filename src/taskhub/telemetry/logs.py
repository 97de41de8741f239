"""Log lines: for people at a terminal, one JSON object each elsewhere, with the job that wrote them."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any, TextIO

from taskhub.queue.context import running
from taskhub.queue.secret import hide

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JobContext(logging.Filter):
    """Adds to every record which job wrote it: job_id, task, queue, attempt, worker_id, trace_id.

    Put it on a handler. What a line says of a job by itself is left as it is. A thread that the task
    started by itself has no job unless it was started with `contextvars.copy_context().run`.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Always True: no record is dropped."""
        context = running.get()
        # Lines of the worker about some other job have that one's id.
        if context is None or hasattr(record, "job_id"):
            return True
        known = {
            "job_id": context.job_id,
            "task": context.task_name,
            "queue": context.queue,
            "attempt": context.attempt,
            "worker_id": context.worker_id,
        }
        if context.trace_id is not None:
            known["trace_id"] = context.trace_id
        for name, value in known.items():
            vars(record).setdefault(name, value)
        return True


class Lines(logging.Formatter):
    """A constant sentence and the values beside it, for people or as one JSON object."""

    def __init__(self, *, as_json: bool) -> None:
        super().__init__("%(asctime)s")
        self._as_json = as_json

    def format(self, record: logging.LogRecord) -> str:
        """One record, with what was given as `extra`, without the secrets of the job that runs here."""
        context = running.get()
        line = self._line(record)
        return line if context is None else hide(line, context.hidden)

    def _line(self, record: logging.LogRecord) -> str:
        extra = {k: v for k, v in vars(record).items() if k not in _STANDARD}
        if self._as_json:
            return self._as_object(record, extra)
        beside = " ".join(f"{name}={value}" for name, value in extra.items())
        line = f"{self.formatTime(record)} {record.levelname:<7} {record.getMessage()} {beside}".rstrip()
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line

    def _as_object(self, record: logging.LogRecord, extra: dict[str, Any]) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        told = {
            "at": at.replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "event": record.getMessage(),
            **extra,
        }
        if record.exc_info:
            told["traceback"] = self.formatException(record.exc_info)
        return json.dumps(told, ensure_ascii=False, default=str)


def set_up(stream: TextIO, level: str, kind: str = "auto") -> None:
    """Send all logs of the process to `stream`; auto is text at a terminal, JSON elsewhere."""
    handler = logging.StreamHandler(stream)
    as_json = kind == "json" or (kind == "auto" and not stream.isatty())
    handler.setFormatter(Lines(as_json=as_json))
    handler.addFilter(JobContext())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
