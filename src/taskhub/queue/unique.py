"""Unique jobs: what keeps a second one out, and which job its deferrer gets instead."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from taskhub.queue.rows import NewJob
from taskhub.queue.storable import MAX_DELAY_SECONDS, BadArgument

Until = Literal["started", "ended"]
OnConflict = Literal["keep", "replace"]
# Seconds, a timedelta, or text: "30s", "10m", "1h", "7d".
Window = str | float | timedelta

DAY_SECONDS = 86_400
_TEXT = re.compile(r"(\d+(?:\.\d+)?)([smhd])", re.ASCII)
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": DAY_SECONDS}
# What says more of a key, and nothing without one.
_FOLLOWERS = ("unique_until", "unique_for", "on_conflict")
_WHY = {
    "55P03": "another open transaction is taking it; try again once that one has ended",
    "40P01": "two transactions wait for each other's keys; roll back and run this one again",
    "40001": "a transaction that this one cannot see has taken it; roll back and run this one again, "
    "or defer at READ COMMITTED",
}


class UniqueKeyBusy(RuntimeError):
    """Who has a unique key could not be known; nothing of the call was stored.

    The transaction around it goes on as it was before the call.
    """


@dataclass(frozen=True, slots=True)
class Uniqueness:
    """What of the job that has a key keeps another one out; None: not that."""

    is_running_too: bool | None = None
    replaces: bool | None = None
    seconds: float | None = None
    cache_seconds: float | None = None

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Uniqueness:
        """As the options of a task or a job say it.

        Raises:
            TypeError: they do not go together.
            BadArgument: one of them is none that can be.
        """
        unique, cache = options.get("unique"), options.get("cache")
        if unique is not None and cache is not None:
            raise TypeError(
                "give unique or cache, not both: the key of a cached result is made of the arguments; "
                ".options(cache=None, unique=…) leaves the cache out"
            )
        if unique is None:
            return cls._cached(options, cache)
        if not isinstance(unique, str) or not unique:
            raise BadArgument(
                f'unique must be text like "reset:{{account_id}}", got {unique!r:.100}'
            )
        until = _one_of(options, "unique_until", ("ended", "started"))
        on_conflict = _one_of(options, "on_conflict", ("keep", "replace"))
        window = options.get("unique_for")
        return cls(
            is_running_too=until == "ended",
            replaces=True if on_conflict == "replace" else None,
            seconds=None if window is None else seconds_of(window, "unique_for"),
        )

    @classmethod
    def _cached(cls, options: Mapping[str, Any], cache: Any) -> Uniqueness:
        # A task may declare what follows a key, and one of its jobs do without the key.
        if "unique" not in options or cache is not None:
            for name in _FOLLOWERS:
                if options.get(name) is not None:
                    needs = "goes without cache=" if cache is not None else "needs unique="
                    raise TypeError(f"{name} {needs}, got {options[name]!r:.100}")
        if cache is None:
            return cls()
        return cls(is_running_too=True, cache_seconds=seconds_of(cache, "cache"))

    def check_history(self, history_days: float) -> Uniqueness:
        """Itself, if results are kept for as long as they are to be found.

        Raises:
            BadArgument: they are not.
        """
        most = history_days * DAY_SECONDS
        if self.cache_seconds is not None and self.cache_seconds > most:
            raise BadArgument(
                f"cache must be at most history_days, {history_days:g} days, after which results are "
                f"deleted, got {self.cache_seconds / DAY_SECONDS:g} days"
            )
        return self


def seconds_of(window: Any, what: str) -> float:
    """A window in seconds.

    Raises:
        BadArgument: it is none, or not above 0, or more than three centuries.
    """
    seconds: Any = window.total_seconds() if isinstance(window, timedelta) else window
    if isinstance(window, str) and (found := _TEXT.fullmatch(window)):
        seconds = float(found[1]) * _UNIT_SECONDS[found[2]]
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not is_number or not math.isfinite(seconds) or not 0 < seconds < MAX_DELAY_SECONDS:
        raise BadArgument(
            f'{what} must be "30s", "10m", "1h", "7d", a timedelta or seconds, above 0, got {window!r:.100}'
        )
    return float(seconds)


def _one_of(options: Mapping[str, Any], name: str, words: tuple[str, str]) -> str:
    word = options.get(name)
    if word is None:
        return words[0]
    if word not in words:
        raise BadArgument(f"{name} must be {' or '.join(words)}, got {word!r:.100}")
    return str(word)


def cache_key(text: str, defaults: Mapping[str, Any]) -> str:
    """The key that a call shares with those that mean the same: by its arguments, with the defaults."""
    arguments = {**defaults, **json.loads(text)}
    canonical = json.dumps(arguments, sort_keys=True, separators=(",", ":"))
    return f"cache:{hashlib.sha256(canonical.encode()).hexdigest()}"


class JobIds(list[int]):
    """The ids of jobs in the order in which they were asked for.

    Attributes:
        kept: the places in it of jobs that were there before, instead of which nothing was stored.
    """

    kept: frozenset[int] = frozenset()

    def new(self) -> list[int]:
        """The ids of those that were stored."""
        return [job_id for place, job_id in enumerate(self) if place not in self.kept]

    def take_in(self, rows: Iterable[Sequence[Any]]) -> None:
        """Append what insert_jobs or insert_unique_jobs answers.

        Raises:
            UniqueKeyBusy: it says so.
        """
        kept = []
        for job_id, *told in rows:
            if job_id is None:
                raise _busy(*told)
            if told and not told[0]:
                kept.append(len(self))
            self.append(job_id)
        if kept:
            self.kept = self.kept.union(kept)


def _busy(_: bool, sqlstate: str, key: str) -> UniqueKeyBusy:
    return UniqueKeyBusy(f"unique key {key!r} could not be had: {_WHY[sqlstate]}")


def statement_for(jobs: Sequence[NewJob]) -> str:
    """The statement that stores these jobs, which have unique keys all, or none."""
    return "insert_unique_jobs" if jobs and jobs[0].unique_key is not None else "insert_jobs"
