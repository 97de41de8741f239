"""Periodic tasks as they are declared: a schedule, and what job each of its ticks gets."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from taskhub.queue.rows import NewJob
from taskhub.queue.schedules import BadSchedule, Schedule, newest_ticks, parse
from taskhub.queue.storable import MAX_TASK_BYTES, check_text
from taskhub.settings import BadSetting

if TYPE_CHECKING:
    from taskhub.queue.hub import Hub
    from taskhub.queue.task import Task

CatchUp = Literal["none", "last", "all"] | int
MOST_CAUGHT_UP = 1000
# What is no older counts as on time, whatever was down meanwhile.
ON_TIME_SECONDS = 60.0
PARAMETER = "scheduled_for"


@dataclass(frozen=True, eq=False, kw_only=True)
class DeclaredCron:
    """A schedule as a task declares it.

    Raises:
        BadSchedule: catch_up or jitter make no sense.
        TypeError: the task needs arguments that are not given.
    """

    task: Task[..., Any]
    id: str
    schedule: Schedule
    catch_up: CatchUp = "last"
    jitter_seconds: float = 0.0
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.id:
            check_text(self.id, "cron id", MAX_TASK_BYTES)
        is_number = type(self.catch_up) is int and 1 <= self.catch_up <= MOST_CAUGHT_UP
        if not is_number and self.catch_up not in ("none", "last", "all"):
            raise BadSchedule(
                f"catch_up must be none, last, all or a number up to {MOST_CAUGHT_UP}, got {self.catch_up!r}"
            )
        if not 0 <= self.jitter_seconds <= 86_400:
            raise BadSchedule(f"jitter must be 0 to 86400 seconds, got {self.jitter_seconds}")
        self._check_arguments()

    def _check_arguments(self) -> None:
        given = {*self.arguments, PARAMETER} if self._takes_tick else {*self.arguments}
        try:
            self.task.parameters.signature.bind(**dict.fromkeys(given))
        except TypeError as error:
            raise TypeError(
                f"{self.task.name} cannot be called by a schedule: {error}; give it defaults, "
                f"arguments={{…}}, or name the parameter {PARAMETER}"
            ) from None

    @property
    def name(self) -> str:
        """The task's name, and the id after a colon where there is one."""
        return f"{self.task.name}:{self.id}" if self.id else self.task.name

    @property
    def _takes_tick(self) -> bool:
        return PARAMETER in self.task.parameters.names and PARAMETER not in self.arguments

    def due(self, mark: datetime, now: datetime) -> list[datetime]:
        """Which of the ticks after `mark` get a job now, oldest first."""
        if self.catch_up == "none":
            mark = max(mark, now - timedelta(seconds=ON_TIME_SECONDS))
        most = {"none": 1, "last": 1, "all": MOST_CAUGHT_UP}.get(str(self.catch_up), self.catch_up)
        return newest_ticks(self.schedule, mark, now, int(most))

    def newest(self, mark: datetime, now: datetime) -> list[datetime]:
        """The newest tick after `mark` that has come, whatever catch_up says; empty if none has."""
        return newest_ticks(self.schedule, mark, now, 1)

    def new_job(self, tick: datetime) -> NewJob:
        """The job of a tick; with jitter it waits a while, which is the same in every worker."""
        arguments = {**self.arguments, **({PARAMETER: tick} if self._takes_tick else {})}
        job = self.task.new_job((), arguments)
        if not self.jitter_seconds:
            return job
        return job.due_at(tick + timedelta(seconds=self.jitter_seconds * self._share(tick)))

    def _share(self, tick: datetime) -> float:
        """From 0 to below 1, by the tick and the schedule alone; Python's hash differs by process."""
        told = f"{self.name} {tick.timestamp()}".encode()
        return int.from_bytes(hashlib.sha256(told).digest()[:6]) / 2**48


def declare(
    task: Task[..., Any],
    schedule: Schedule,
    *,
    id: str = "",  # noqa: A002 - the word of the public decorator
    catch_up: CatchUp = "last",
    jitter: float | timedelta = 0.0,
    arguments: Mapping[str, Any] | None = None,
) -> None:
    """Let a task run on a schedule, beside those it has.

    Raises:
        ValueError: it has one with this id already.
    """
    seconds = jitter.total_seconds() if isinstance(jitter, timedelta) else jitter
    if any(cron.id == id for cron in task.crons):
        raise ValueError(
            f"task {task.name!r} has a schedule with id {id!r} already; give this one another id="
        )
    task.crons.append(
        DeclaredCron(
            task=task,
            id=id,
            schedule=schedule,
            catch_up=catch_up,
            jitter_seconds=seconds,
            arguments=dict(arguments or {}),
        )
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Switched:
    """A schedule whose expression is a setting, so that whoever runs the program can change it.

    Attributes:
        task: by its name; a hub that does not have it leaves the schedule out.
        setting: holds a cron expression or "every 60 s"; empty: the schedule is off.
    """

    task: str
    setting: str
    catch_up: CatchUp = "last"
    jitter_seconds: float = 0.0

    def resolved(self, hub: Hub) -> DeclaredCron | None:
        """The schedule under the hub's settings, or None where it is off.

        Raises:
            BadSetting: the expression or the zone cannot be used.
        """
        expression = getattr(hub.settings, self.setting).strip()
        if not expression or self.task not in hub.tasks:
            return None
        try:
            schedule = parse(expression, hub.settings.schedule_zone)
        except BadSchedule as error:
            raise BadSetting(f"{self.setting} or schedule_zone cannot be used: {error}") from None
        return DeclaredCron(
            task=hub.tasks[self.task],
            id="",
            schedule=schedule,
            catch_up=self.catch_up,
            jitter_seconds=self.jitter_seconds,
        )


def declared(hub: Hub) -> list[DeclaredCron]:
    """The schedules of all tasks of this hub, and those that its settings switch on."""
    settable = {one.task for one in hub.switched}
    fixed = [
        cron
        for task in dict.fromkeys(hub.tasks.values())
        for cron in task.crons
        # What a setting moves, or switches off, must not run by its decorator all the same.
        if cron.id or task.name not in settable
    ]
    switched = [one.resolved(hub) for one in hub.switched]
    return fixed + [cron for cron in switched if cron is not None]
