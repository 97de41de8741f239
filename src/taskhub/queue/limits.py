"""How many jobs run at once in the whole fleet, and what is paused: said at run time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from taskhub.queue.storable import MAX_LOCK_BYTES, check_at, check_text

if TYPE_CHECKING:
    from sqlalchemy import RowMapping

LANES = ("queue:", "task:")
MOST = 2**31 - 1


class _Database(Protocol):
    def read(self, statement: str, /, **parameters: Any) -> list[RowMapping]: ...


@dataclass(frozen=True, slots=True)
class Limit:
    """What was said of a queue ("queue:NAME"), a task ("task:NAME") or a key, and what runs under it.

    Attributes:
        at_most: jobs at once; None: not limited here. A task may declare a number for its keys.
        running: jobs that run now, by the table.
        paused_until: None is until somebody resumes it.
    """

    name: str
    at_most: int | None
    running: int
    paused_at: datetime | None
    paused_until: datetime | None
    reason: str | None


class Limits:
    """What a hub can say of queues, tasks and keys; each call commits by itself."""

    def limit(self: _Database, name: str, *, at_most: int) -> None:
        """Let at most so many jobs of "queue:NAME", "task:NAME" or a key run at once in the fleet.

        For a key it takes the place of what tasks declare. When it is lowered, running jobs go on
        and none starts until there are fewer.

        Raises:
            ValueError: the name or the number is none that can be.
        """
        self.read(
            "set_rule", name=_checked(name), what="limit", at_most=check_at_most(at_most),
            reason=None, until=None,
        )  # fmt: skip

    def unlimit(self: _Database, name: str) -> bool:
        """Take back what `limit` said; False: nothing was said."""
        [row] = self.read(
            "set_rule", name=_checked(name), what="unlimit", at_most=None, reason=None, until=None
        )
        return bool(row["was_there"])

    def limits(self: _Database) -> list[Limit]:
        """What `limit` and `pause` said and is in force, by name."""
        return [Limit(**row) for row in self.read("list_rules")]

    def pause(
        self: _Database,
        *,
        queue: str | None = None,
        task: str | None = None,
        key: str | None = None,
        reason: str = "",
        until: datetime | timedelta | None = None,
    ) -> None:
        """Start no more jobs of one queue, task or limit key; running ones go on.

        Args:
            reason: kept beside it, for whoever asks why nothing runs.
            until: a time with its zone, or how long from now on; None is until `resume`.

        Raises:
            TypeError: not exactly one of queue, task and key is given.
        """
        name = _one_of(queue, task, key)
        seconds = until.total_seconds() if isinstance(until, timedelta) else None
        at = check_at(until) if isinstance(until, datetime) else None
        self.read("pause", name=name, reason=reason or None, until=at, seconds=seconds)

    def resume(
        self: _Database,
        *,
        queue: str | None = None,
        task: str | None = None,
        key: str | None = None,
    ) -> bool:
        """Let jobs start again; False: it was not paused.

        Raises:
            TypeError: not exactly one of queue, task and key is given.
        """
        [row] = self.read(
            "set_rule", name=_one_of(queue, task, key), what="resume", at_most=None, reason=None,
            until=None,
        )  # fmt: skip
        return bool(row["was_there"])


def check_at_most(at_most: Any) -> int:
    """`at_most`, if it can be one.

    Raises:
        ValueError: it is not.
    """
    if isinstance(at_most, bool) or not isinstance(at_most, int) or not 1 <= at_most <= MOST:
        raise ValueError(f"at_most must be a whole number from 1 to {MOST}, got {at_most!r}")
    return at_most


def check_declared(options: Mapping[str, Any]) -> None:
    """Check what a task or a job says of its limit.

    Raises:
        TypeError: one of limit and at_most is missing.
        ValueError: one of them cannot be.
    """
    limit, at_most = options.get("limit"), options.get("at_most")
    if limit is None and at_most is None:
        return
    if limit is None or at_most is None:
        raise TypeError('give limit and at_most together: limit="tenant:{tenant_id}", at_most=3')
    check_at_most(at_most)
    if str(limit).startswith(LANES):
        raise ValueError(
            f"limit must not begin with queue: or task:, got {limit!r}; "
            f"use hub.limit({limit!r}, at_most={at_most})"
        )


def _checked(name: str) -> str:
    return check_text(name, "limit", MAX_LOCK_BYTES)


def _one_of(queue: str | None, task: str | None, key: str | None) -> str:
    given = [
        prefix + name
        for prefix, name in (("queue:", queue), ("task:", task), ("", key))
        if name is not None
    ]
    if len(given) != 1:
        raise TypeError("give one of queue, task and key")
    if key is not None and key.startswith(LANES):
        raise ValueError(f"key must not begin with queue: or task:, got {key!r}")
    return _checked(given[0])
