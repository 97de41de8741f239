"""When a schedule is due: cron expressions on a time zone's clock, and even intervals (pure)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from croniter import (  # type: ignore[import-untyped]  # it ships no types
    CroniterBadDateError,
    croniter,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
INSTANT = timedelta(microseconds=1)
# croniter picks a random time for R, another one in every worker, and H is the same in no two programs.
_NOT_OURS = re.compile(r"(?<![a-z])[rh](?![a-z])", re.IGNORECASE)
_EVERY = re.compile(r"every (\d+) s")


class BadSchedule(ValueError):
    """An expression, interval or time zone that no schedule can be made of."""


class Schedule(Protocol):
    """A set of instants, the ticks, on which all workers agree without talking."""

    @property
    def text(self) -> str:
        """What `parse` makes the same schedule of."""
        ...

    @property
    def zone(self) -> str:
        """The name of the time zone whose clock it follows."""
        ...

    def next_after(self, moment: datetime) -> datetime | None:
        """The first tick later than `moment`, in UTC; None where there is none in the next years."""
        ...


@dataclass(frozen=True)
class Every:
    """Ticks at even intervals, counted from 1970-01-01 UTC: a restart does not shift them.

    Raises:
        BadSchedule: the interval is no whole number of seconds, or less than one.
    """

    interval: timedelta

    def __post_init__(self) -> None:
        if self.interval < timedelta(seconds=1) or self.interval % timedelta(seconds=1):
            raise BadSchedule(
                f"interval must be 1 or more whole seconds, got {self.interval.total_seconds()}"
            )

    @property
    def text(self) -> str:
        """As `parse` takes it."""
        return f"every {self.interval // timedelta(seconds=1)} s"

    @property
    def zone(self) -> str:
        """Intervals know no time zone."""
        return "UTC"

    def next_after(self, moment: datetime) -> datetime | None:
        """The first tick later than `moment`."""
        return EPOCH + ((moment - EPOCH) // self.interval + 1) * self.interval


@dataclass(frozen=True)
class Cron:
    """A cron expression on the clock of a time zone.

    Five fields, or six with seconds as the last; names (mon, jan), L, # and @daily as croniter reads
    them. When clocks change: an expression that names hours runs once for each time it names, at the
    moment of the jump where the time is left out, and in the first pass where it comes twice. One
    that runs in every hour follows real time: nothing extra, and nothing left out.

    Raises:
        BadSchedule: croniter cannot read it, it has no next tick, or no such time zone is known.
    """

    expression: str
    zone: str = "UTC"

    def __post_init__(self) -> None:
        if _NOT_OURS.search(self.expression):
            raise BadSchedule(
                f"cron expression must name times without R and H, got {self.expression!r}"
            )
        try:
            self._zone  # noqa: B018 - read for its error
        except (ZoneInfoNotFoundError, OSError, ValueError):
            raise BadSchedule(
                f"time zone must be a name like Europe/Berlin, got {self.zone!r}"
            ) from None
        try:
            self._fields  # noqa: B018 - as above
        except (ValueError, AttributeError, TypeError) as error:
            raise BadSchedule(
                f"cron expression must be like '0 2 * * *', got {self.expression!r}: {error}"
            ) from None
        if self._next_on_clock(datetime(2000, 1, 1)) is None:  # noqa: DTZ001 - a clock's face
            raise BadSchedule(
                f"cron expression must name a day that exists, got {self.expression!r}"
            )

    @property
    def text(self) -> str:
        """As `parse` takes it."""
        return self.expression

    @cached_property
    def _zone(self) -> ZoneInfo:
        return ZoneInfo(self.zone)

    @cached_property
    def _fields(self) -> list[list[int | str]]:
        return [list(field) for field in croniter.expand(self.expression)[0]]

    @cached_property
    def _runs_in_every_hour(self) -> bool:
        hours = self._fields[1]
        return hours == ["*"] or len(set(hours)) == 24

    def next_after(self, moment: datetime) -> datetime | None:
        """The first tick later than `moment`, in UTC."""
        moment = moment.astimezone(UTC)
        return self._next_hourly(moment) if self._runs_in_every_hour else self._next_named(moment)

    def _next_named(self, moment: datetime) -> datetime | None:
        on_clock: datetime | None = moment.astimezone(self._zone).replace(tzinfo=None)
        # `_resolve` never goes back, so the first one that is later is the next one. More than one
        # is looked at only where clocks change.
        while on_clock is not None and (on_clock := self._next_on_clock(on_clock)) is not None:
            if (tick := self._resolve(on_clock)) > moment:
                return tick
        return None

    def _resolve(self, on_clock: datetime) -> datetime:
        """The instant of a time on the clock: its first pass, or the jump that leaves it out."""
        first = on_clock.replace(tzinfo=self._zone).astimezone(UTC)
        if first.astimezone(self._zone).replace(tzinfo=None) == on_clock:
            return first
        # With the offset from before the jump it lies after the jump, by less than a day.
        return self._change_between(first - timedelta(days=1), first)

    def _next_hourly(self, moment: datetime) -> datetime | None:
        offset = self._offset(moment)
        while (on_clock := self._next_on_clock((moment + offset).replace(tzinfo=None))) is not None:
            tick = on_clock.replace(tzinfo=UTC) - offset
            if self._offset(tick) == offset:
                return tick
            change = self._change_between(moment, tick)
            # From the change on with the new offset, a tick at the change itself among them.
            moment, offset = change - INSTANT, self._offset(change)
        return None

    def _offset(self, moment: datetime) -> timedelta:
        return moment.astimezone(self._zone).utcoffset() or timedelta()

    def _change_between(self, before: datetime, after: datetime) -> datetime:
        """The second at which the offset that is in force at `before` ends."""
        offset = self._offset(before)
        low, high = int((before - EPOCH).total_seconds()), int((after - EPOCH).total_seconds()) + 1
        while high - low > 1:
            middle = (low + high) // 2
            if self._offset(EPOCH + timedelta(seconds=middle)) == offset:
                low = middle
            else:
                high = middle
        return EPOCH + timedelta(seconds=high)

    def _next_on_clock(self, on_clock: datetime) -> datetime | None:
        """The next time on a clock that is never changed."""
        try:
            found: datetime = croniter(self.expression, on_clock).get_next(datetime)
        except CroniterBadDateError:
            return None
        return found


def parse(text: str, zone: str) -> Schedule:
    """The schedule of which `text` and `zone` tell.

    Raises:
        BadSchedule: there is none.
    """
    if found := _EVERY.fullmatch(text):
        return Every(timedelta(seconds=int(found[1])))
    return Cron(text, zone)


def ticks_between(schedule: Schedule, after: datetime, until: datetime) -> Iterator[datetime]:
    """The ticks later than `after`, up to `until` and with it."""
    tick = schedule.next_after(after)
    while tick is not None and tick <= until:
        yield tick
        tick = schedule.next_after(tick)


def newest_ticks(schedule: Schedule, after: datetime, until: datetime, most: int) -> list[datetime]:
    """The last `most` of the ticks between, oldest first; a gap of years costs no more than one of days."""
    reach = timedelta(seconds=64)
    while True:
        start = max(after, until - reach)
        ticks = list(ticks_between(schedule, start, until))
        if len(ticks) >= most or start == after:
            return ticks[-most:]
        reach *= 4
