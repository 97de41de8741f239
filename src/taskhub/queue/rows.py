"""The row of a job before it exists, as INSERT and COPY take it."""

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

ROWS_AT_ONCE = 1000
# Characters that end a field or a row of COPY's text format, the backslash first.
_ESCAPES = (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r"))


class Common(NamedTuple):
    """What the rows of jobs that are deferred together have in common."""

    queue_name: str
    task_name: str
    priority: int = 0
    delay_seconds: float | None = None
    at: datetime | None = None
    at_most: int | None = None
    unique_running: bool | None = None
    unique_replace: bool | None = None
    unique_seconds: float | None = None
    cache_seconds: float | None = None
    is_strict: bool | None = None
    version: int | None = None
    expires_seconds: float | None = None
    expires_at: datetime | None = None
    trace: str | None = None


class NewJob(NamedTuple):
    """One row of procrastinate_jobs before it exists; `args` is the text of a JSON object."""

    common: Common
    args: str
    lock: str | None = None
    queueing_lock: str | None = None
    limit_key: str | None = None
    fair_key: str | None = None
    unique_key: str | None = None
    tokens: int | None = None

    def traced(self, trace: str) -> "NewJob":
        """The same job, carrying who deferred it."""
        return self._replace(common=self.common._replace(trace=trace))

    def due_at(self, at: datetime | None) -> "NewJob":
        """The same job, for another time; None leaves it to its delay, if it has one."""
        return self._replace(common=self.common._replace(at=at))


def insert_parameters(jobs: Sequence[NewJob]) -> Iterator[dict[str, str]]:
    """The parameter of each insert_jobs that is needed; what is not said is left out."""
    for start in range(0, len(jobs), ROWS_AT_ONCE):
        rows = [
            {name: value for name, value in _named(job) if value is not None}
            for job in jobs[start : start + ROWS_AT_ONCE]
        ]
        yield {"jobs": json.dumps(rows, ensure_ascii=False, default=datetime.isoformat)}


def _named(job: NewJob) -> Iterator[tuple[str, Any]]:
    yield from zip(Common._fields, job.common, strict=True)
    yield from zip(NewJob._fields[1:], job[1:], strict=True)


def copy_blocks(
    jobs: Sequence[NewJob], ids: Sequence[int], due: str | None, expires: str | None = None
) -> Iterator[bytes]:
    """What copy_jobs reads; `due` and `expires` are for jobs without times of their own."""
    for start in range(0, len(jobs), ROWS_AT_ONCE):
        end = start + ROWS_AT_ONCE
        rows = [
            f"{job_id}\t{_escaped(args)}\t{_word(lock)}\t{_word(limit)}\t{_word(fair)}"
            f"\t{_number(tokens)}\t{_line_end(common, due, expires)}\n"
            for job_id, (common, args, lock, _, limit, fair, _, tokens) in zip(
                ids[start:end], jobs[start:end], strict=True
            )
        ]
        yield "".join(rows).encode()


@lru_cache
def _line_end(common: Common, due: str | None, expires: str | None) -> str:
    """The fields of copy_jobs that are the same for all jobs of one call."""
    at = due if common.at is None else common.at.isoformat()
    until = expires if common.expires_at is None else common.expires_at.isoformat()
    fields = (
        common.queue_name, common.task_name, common.priority, at, common.at_most,
        common.is_strict or False, common.version, until, common.trace,
    )  # fmt: skip
    return "\t".join(_word(None if field is None else str(field)) for field in fields)


def _number(value: int | None) -> str:
    return "\\N" if value is None else str(value)


@lru_cache
def _word(value: str | None) -> str:
    """A field that is mostly the same in all rows."""
    return "\\N" if value is None else _escaped(value)


def _escaped(value: str) -> str:
    for character, escaped in _ESCAPES:
        if character in value:
            value = value.replace(character, escaped)
    return value
