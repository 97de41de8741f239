"""How many jobs run at once in the whole fleet, and what is paused: said at run time."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from taskhub.queue.rates import Breaker, check_tokens, rate_of
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
        at_most: jobs at once; None: not limited here.
        running: jobs that run now, by the table.
        paused_until: None is until somebody resumes it.
        is_declared: nobody said it at run time: a task does, for a key that its jobs have now.
        per_second: tokens a second; None: no rate.
        tokens: how many of `burst` are there now; below 0 after a job that needed more.
        slots: at most so many at once for now, by feedback; None: as at_most says.
        breaker: "closed", "open" until `open_until`, or "half-open": one job tries; None: there is none.
        open_reason: the failure that opened it.
    """

    name: str
    at_most: int | None
    running: int
    paused_at: datetime | None
    paused_until: datetime | None
    reason: str | None
    is_declared: bool = False
    per_second: float | None = None
    burst: float | None = None
    tokens: float | None = None
    slots: int | None = None
    breaker: str | None = None
    open_until: datetime | None = None
    open_reason: str | None = None


class Limits:
    """What a hub can say of queues, tasks and keys; each call commits by itself."""

    def limit(
        self: _Database,
        name: str,
        *,
        at_most: int | None = None,
        per_second: float | None = None,
        per_minute: float | None = None,
        per_hour: float | None = None,
        per_day: float | None = None,
        burst: float | None = None,
        feedback: bool = False,
        breaker: Breaker | None = None,
    ) -> None:
        """Hold jobs of "queue:NAME", "task:NAME" or a key back, in the whole fleet, from now on.

        It takes the place of what was said of the name before, all of it, and for a key of what tasks
        declare. When a number is lowered, running jobs go on and none starts until there are fewer.

        Args:
            at_most: jobs at once.
            per_second, per_minute, per_hour, per_day: one of them, tokens that jobs of the key may take;
                a job takes its `tokens=`, or one.
            burst: how many may be saved up; default: what comes in a second, and one at least. A job
                that needs more starts when so many are there.
            feedback: halve `at_most` at `raise Throttled(...)`; each round of successes adds one again.
            breaker: start none for a while when they fail one after the other.

        Raises:
            TypeError: nothing is given, two periods are, or what goes with something else is alone.
            ValueError: a name or number cannot be, or a queue or task is given more than at_most.
        """
        named = ("per_second", "per_minute", "per_hour", "per_day")
        periods = dict(zip(named, (per_second, per_minute, per_hour, per_day), strict=True))
        more = _more(name, at_most, rate_of(periods, burst), breaker, feedback=feedback)
        self.read(
            "set_rule", name=_checked(name), what="limit",
            at_most=None if at_most is None else check_at_most(at_most),
            reason=None, until=None, more=more,
        )  # fmt: skip

    def unlimit(self: _Database, name: str) -> bool:
        """Take back what `limit` said; False: nothing was said."""
        [row] = self.read(
            "set_rule", name=_checked(name), what="unlimit", at_most=None, reason=None, until=None,
            more="{}",
        )  # fmt: skip
        return bool(row["was_there"])

    def limits(self: _Database) -> list[Limit]:
        """What `limit` and `pause` said and is in force, by name, and the keys that tasks declare.

        Of those only the ones that waiting or running jobs have, 200 of each at most.
        """
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
        """Let jobs start again, and close the breaker of a key; False: it was not held.

        Raises:
            TypeError: not exactly one of queue, task and key is given.
        """
        [row] = self.read(
            "set_rule", name=_one_of(queue, task, key), what="resume", at_most=None, reason=None,
            until=None, more="{}",
        )  # fmt: skip
        return bool(row["was_there"])


def _more(
    name: str,
    at_most: int | None,
    rate: Mapping[str, Any],
    breaker: Breaker | None,
    *,
    feedback: bool,
) -> str:
    """What a rule says beside its number, as JSON."""
    more = {
        **rate,
        **(breaker.told() if breaker else {}),
        **({"feedback": True} if feedback else {}),
    }
    if at_most is None and (feedback or not more):
        raise TypeError("at_most must be given, or a rate or a breaker for a key")
    if more and name.startswith(LANES):
        raise ValueError(
            f"name must be a key for rates, feedback and breakers, got {name!r}; give its task a limit"
        )
    return json.dumps(more)


def check_at_most(at_most: Any) -> int:
    """`at_most`, if it can be one.

    Raises:
        ValueError: it is not.
    """
    if isinstance(at_most, bool) or not isinstance(at_most, int) or not 1 <= at_most <= MOST:
        raise ValueError(f"at_most must be a whole number from 1 to {MOST}, got {at_most!r}")
    return at_most


def check_declared(options: Mapping[str, Any], has_feedback: bool = False) -> None:
    """Check what a task or a job says of its limit.

    Raises:
        TypeError: at_most or tokens without limit, or feedback without at_most.
        ValueError: one of them cannot be.
    """
    limit, at_most = options.get("limit"), options.get("at_most")
    tokens = options.get("tokens")
    if limit is None and (at_most is not None or tokens is not None):
        raise TypeError('give limit and at_most together: limit="tenant:{tenant_id}", at_most=3')
    if at_most is None and has_feedback:
        raise TypeError('feedback must go with at_most: limit="openai", at_most=50, feedback=True')
    if at_most is not None:
        check_at_most(at_most)
    if tokens is not None and not isinstance(tokens, str):
        check_tokens(tokens)
    if str(limit).startswith(LANES):
        raise ValueError(
            f"limit must not begin with queue: or task:, got {limit!r}; "
            f"use hub.limit({limit!r}, at_most={at_most or 1})"
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
