"""Tasks declared before there is a hub: a family of tasks in a module of its own."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from datetime import timedelta
from typing import Any, Concatenate, ParamSpec, TypeVar, cast, overload

from typing_extensions import Unpack

from taskhub.queue import crons, declaring
from taskhub.queue.context import Context
from taskhub.queue.crons import CatchUp
from taskhub.queue.declaring import BatchOptions, TaskOptions
from taskhub.queue.decorators import (
    BatchDecorator,
    CronDecorator,
    TaskDecorator,
    UntypedBatchDecorator,
)
from taskhub.queue.schedules import Cron, Every, Schedule
from taskhub.queue.task import Task

P = ParamSpec("P")
R = TypeVar("R")
A = TypeVar("A")


class Blueprint:
    """A set of tasks that a hub takes in by `hub.add(blueprint)`; task names stay as they are."""

    def __init__(self) -> None:
        self.tasks: dict[str, Task[..., Any]] = {}

    @overload
    def task(
        self, function: Callable[Concatenate[Context, P], Coroutine[Any, Any, R]], /
    ) -> Task[P, R]: ...
    @overload
    def task(self, function: Callable[Concatenate[Context, P], R], /) -> Task[P, R]: ...
    @overload
    def task(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> Task[P, R]: ...
    @overload
    def task(self, function: Callable[P, R], /) -> Task[P, R]: ...
    @overload
    def task(self, **declared: Unpack[TaskOptions]) -> TaskDecorator: ...
    @overload
    def task(
        self, *, of: Callable[P, A], **declared: Unpack[BatchOptions]
    ) -> BatchDecorator[P, A]: ...
    @overload
    def task(self, **declared: Unpack[BatchOptions]) -> UntypedBatchDecorator: ...

    def task(self, *functions: Any, **declared: Any) -> Any:
        """Declare a task; bare or with options, see `TaskOptions` and `BatchOptions`.

        Raises:
            ValueError: the name is taken, a template names no parameter, or a limit cannot be.
            TypeError: the function takes *args, cannot run in this executor, or an option is none.
        """

        def declare(target: Callable[..., Any]) -> Task[..., Any]:
            return self._declare(target, **declared)

        return declare(*functions) if functions else declare

    def cron(
        self,
        expression: str,
        /,
        *,
        tz: str = "UTC",
        id: str = "",  # noqa: A002 - the user's word
        catch_up: CatchUp = "last",
        jitter: float | timedelta = 0.0,
        arguments: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> CronDecorator:
        """Run a task on a cron expression: one job for each tick, however many workers there are.

        Stacked on a task, or instead of `task`, whose options it then takes. A parameter named
        `scheduled_for` gets the tick, a datetime in UTC.

        Args:
            expression: "0 2 * * *", with seconds as a sixth field if there is one.
            tz: the zone whose clock it follows. Where clocks change, a time that is named runs once.
            id: tells schedules of one task apart. With the task's name it is what the database knows
                the schedule by, so that a changed expression goes on where the old one was.
            catch_up: what ticks get that no worker was there for: "none", "last" for the newest
                alone, "all" up to 1,000, or a number for at most so many of the newest.
            jitter: each job waits up to so many seconds more, the same for a tick in every worker.
            arguments: what each job is given.

        Raises:
            BadSchedule: the expression, the zone or another of these cannot be used.
            TypeError: the task needs arguments that are not given.
        """
        told = {"id": id, "catch_up": catch_up, "jitter": jitter, "arguments": arguments}
        return self._scheduled(Cron(expression, tz), told, options)

    def every(
        self,
        interval: timedelta | None = None,
        /,
        *,
        seconds: float = 0,
        minutes: float = 0,
        hours: float = 0,
        id: str = "",  # noqa: A002 - the user's word
        catch_up: CatchUp = "last",
        jitter: float | timedelta = 0.0,
        arguments: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> CronDecorator:
        """As `cron`, at an even interval of whole seconds, counted from 1970 and not from a start."""
        span = timedelta(seconds=seconds, minutes=minutes, hours=hours)
        told = {"id": id, "catch_up": catch_up, "jitter": jitter, "arguments": arguments}
        return self._scheduled(Every(span + (interval or timedelta())), told, options)

    def _scheduled(
        self, schedule: Schedule, told: dict[str, Any], options: dict[str, Any]
    ) -> CronDecorator:
        def declare(target: Callable[..., Any]) -> Task[..., Any]:
            unknown = set(options)
            if not isinstance(target, Task):
                unknown -= declaring.OPTIONS
            if unknown:
                raise TypeError(
                    f"cron got options it does not take here: {', '.join(sorted(unknown))}; "
                    "those of a task go to the decorator that declares it"
                )
            task = target if isinstance(target, Task) else self._declare(target, **options)
            crons.declare(task, schedule, **told)
            return task

        return cast(CronDecorator, declare)

    def _declare(self, function: Callable[..., Any], **declared: Any) -> Task[..., Any]:
        task = declaring.made(function, declared)
        self._register(task)
        return task

    def _register(self, task: Task[..., Any]) -> None:
        for name in (task.name, *task.aliases):
            if name in self.tasks and self.tasks[name].function is not task.function:
                raise ValueError(
                    f"task name {name!r} is taken by {self.tasks[name].function.__qualname__}"
                )
            self.tasks[name] = task
