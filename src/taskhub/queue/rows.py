"""The row of a job before it exists, as INSERT and COPY take it."""

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

ROWS_AT_ONCE = 1000
# Characters that end a field or a row of COPY's text format, the backslash first.
_ESCAPES = (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r"))


class NewJob(NamedTuple):
    """One row of procrastinate_jobs before it exists; `args` is the text of a JSON object."""

    queue_name: str
    task_name: str
    priority: int
    lock: str | None
    queueing_lock: str | None
    args: str
    delay_seconds: float | None
    at: datetime | None
    limit_key: str | None = None
    at_most: int | None = None


def insert_parameters(jobs: Sequence[NewJob]) -> Iterator[dict[str, str]]:
    """The parameter of each insert_jobs that is needed."""
    for start in range(0, len(jobs), ROWS_AT_ONCE):
        rows = [
            job._asdict() | {"at": None if job.at is None else job.at.isoformat()}
            for job in jobs[start : start + ROWS_AT_ONCE]
        ]
        yield {"jobs": json.dumps(rows, ensure_ascii=False)}


def copy_blocks(jobs: Sequence[NewJob], ids: Sequence[int], due: str | None) -> Iterator[bytes]:
    """What copy_jobs reads; `due` is for jobs without a time of their own."""
    for start in range(0, len(jobs), ROWS_AT_ONCE):
        end = start + ROWS_AT_ONCE
        rows = [
            f"{job_id}\t{_word(queue)}\t{_word(task)}\t{priority}\t{_word(lock)}\t{_escaped(args)}\t"
            f"{_word(due if at is None else at.isoformat())}\t{_word(limit)}\t"
            f"{chr(92) + 'N' if at_most is None else at_most}\n"
            for job_id, (queue, task, priority, lock, _, args, _, at, limit, at_most) in zip(
                ids[start:end], jobs[start:end], strict=True
            )
        ]
        yield "".join(rows).encode()


@lru_cache
def _word(value: str | None) -> str:
    """A field that is mostly the same in all rows."""
    return "\\N" if value is None else _escaped(value)


def _escaped(value: str) -> str:
    for character, escaped in _ESCAPES:
        if character in value:
            value = value.replace(character, escaped)
    return value
