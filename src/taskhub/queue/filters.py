"""Which jobs are meant: what people type, as the statements take it."""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

# Each argument that is searched doubles the values that are tried: a number may be stored as text.
MOST_ARGS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """Which jobs are meant; what is empty leaves nothing out. Several values of a field: any of them.

    Attributes:
        tasks: names or globs.
        since, until: the latest of deferral, start and end lies within this time on the database's
            clock, or since then; before it, or longer ago.
        error: a glob over the last error's class, message, or both as "class: message"; without
            `*` and `?` it is looked for inside them. Case does not matter.
        args: each of these arguments has this value: ("document_id", "42"), or ("user.id", "7") inside.
        without: jobs that fit one of its fields are left out; it has neither since nor until.
    """

    queues: Sequence[str] = ()
    tasks: Sequence[str] = ()
    statuses: Sequence[str] = ()
    since: datetime | timedelta | None = None
    until: datetime | timedelta | None = None
    error: str | None = None
    fingerprint: str | None = None
    ids: Sequence[int] = ()
    locks: Sequence[str] = ()
    workers: Sequence[int] = ()
    args: Sequence[tuple[str, str]] = ()
    without: JobFilter | None = field(default=None)

    def __post_init__(self) -> None:
        if len(self.args) > MOST_ARGS:
            raise ValueError(f"args must be {MOST_ARGS} at most, got {len(self.args)}")
        if self.without is not None and (self.without.since or self.without.until):
            raise ValueError("without must be without since and until, got one")

    def parameters(self) -> dict[str, Any]:
        """What the statements take."""
        without = self.without or JobFilter()
        return {
            **self._fields(),
            **{f"not_{name}": value for name, value in without._fields().items()},
            **_time("since", self.since),
            **_time("until", self.until),
            "args": _any_of(self.args) or None,
            # Any one of them leaves a job out.
            "not_args": [v for one in without.args for v in _any_of([one])] or None,
        }

    def _fields(self) -> dict[str, Any]:
        return {
            "queues": list(self.queues) or None,
            "tasks": [like(task) for task in self.tasks] or None,
            "statuses": list(self.statuses) or None,
            "error": None if self.error is None else _anywhere(self.error),
            "fingerprint": self.fingerprint,
            "ids": list(self.ids) or None,
            "locks": list(self.locks) or None,
            "workers": list(self.workers) or None,
        }


def like(glob: str) -> str:
    """A glob of `*` and `?` as LIKE takes it."""
    escaped = re.sub(r"([\\%_])", r"\\\1", glob)
    return escaped.replace("*", "%").replace("?", "_")


def _anywhere(glob: str) -> str:
    return like(glob) if set(glob) & set("*?") else f"%{like(glob)}%"


def _time(name: str, value: datetime | timedelta | None) -> dict[str, Any]:
    return {
        f"{name}_at": value if isinstance(value, datetime) else None,
        f"{name}_seconds": value.total_seconds() if isinstance(value, timedelta) else None,
    }


def _any_of(args: Sequence[tuple[str, str]]) -> list[str]:
    """JSON objects of which a job's arguments contain one, if it has all these values."""
    if not args:
        return []
    return [
        json.dumps(_merged(tuple(zip((name for name, _ in args), values, strict=True))))
        for values in itertools.product(*(list(_readings(value)) for _, value in args))
    ]


def _readings(value: str) -> Iterator[Any]:
    """What may be stored where somebody types this value."""
    yield value
    try:
        read = json.loads(value)
    except ValueError:
        return
    if (
        read is None
        or isinstance(read, bool | int)
        or (isinstance(read, float) and math.isfinite(read))
    ):
        yield read


def _merged(values: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for path, value in values:
        *above, last = path.split(".")
        place = made
        for name in above:
            place = place.setdefault(name, {})
        place[last] = value
    return made
