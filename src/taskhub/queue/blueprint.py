"""Tasks declared before there is a hub: a family of tasks in a module of its own."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Concatenate, ParamSpec, TypeVar, cast, overload

from taskhub.queue import crons
from taskhub.queue.batch_task import Batching, BatchTask
from taskhub.queue.context import Context
from taskhub.queue.crons import CatchUp
from taskhub.queue.decorators import (
    BatchDecorator,
    CronDecorator,
    TaskDecorator,
    UntypedBatchDecorator,
)
from taskhub.queue.execution import Execution, ExecutorName
from taskhub.queue.options import DeferOptions
from taskhub.queue.retries import RetryValue
from taskhub.queue.schedules import Cron, Every, Schedule
from taskhub.queue.task import Task
from taskhub.queue.unique import OnConflict, Until, Window

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
    def task(
        self,
        *,
        name: str | None = None,
        queue: str | None = None,
        retry: RetryValue = False,
        priority: int = 0,
        lock: str | None = None,
        strict: bool | None = None,
        limit: str | None = None,
        at_most: int | None = None,
        tokens: int | str | None = None,
        feedback: bool = False,
        fair_key: str | None = None,
        queueing_lock: str | None = None,
        unique: str | None = None,
        unique_until: Until | None = None,
        unique_for: Window | None = None,
        on_conflict: OnConflict | None = None,
        cache: Window | None = None,
        expires: float | timedelta | datetime | None = None,
        version: int = 1,
        aliases: tuple[str, ...] = (),
        transactional: bool = False,
        executor: ExecutorName | None = None,
        timeout: float | None = None,
        memory_mb: float | None = None,
        cpu_seconds: float | None = None,
        open_files: int | None = None,
    ) -> TaskDecorator: ...

    @overload
    def task(
        self,
        *,
        batch: int,
        of: Callable[P, A],
        linger: float | None = None,
        batch_by: str | None = None,
        name: str | None = None,
        queue: str | None = None,
        retry: RetryValue = False,
        priority: int = 0,
        lock: str | None = None,
        limit: str | None = None,
        at_most: int | None = None,
        queueing_lock: str | None = None,
        aliases: tuple[str, ...] = (),
        timeout: float | None = None,
    ) -> BatchDecorator[P, A]: ...
    @overload
    def task(
        self,
        *,
        batch: int,
        linger: float | None = None,
        batch_by: str | None = None,
        name: str | None = None,
        queue: str | None = None,
        retry: RetryValue = False,
        priority: int = 0,
        lock: str | None = None,
        limit: str | None = None,
        at_most: int | None = None,
        queueing_lock: str | None = None,
        aliases: tuple[str, ...] = (),
        timeout: float | None = None,
    ) -> UntypedBatchDecorator: ...

    def task(self, *functions: Any, **declared: Any) -> Any:
        """Declare a task; bare or with options.

        Args:
            name: how it is stored with its jobs; default: the function's dotted path.
            queue: where its jobs wait; a route of the settings wins over it.
            retry: Backoff, a number of retries, True, or procrastinate's RetryStrategy; a task
                without it is not run again when its code fails.
            lock: jobs with one lock run one at a time; may name arguments.
            strict: the jobs of the lock run in the order of their ids, whatever waits for its time.
            limit: jobs with one limit run at most `at_most` at once, in the whole fleet; may name
                arguments. `hub.limit(...)` changes the number for one key at run time; without
                `at_most` only that limits.
            unique, unique_until, unique_for, on_conflict, cache: which job keeps another one out; see
                DeferOptions and docs/unique.md.
            tokens: what a job takes of its limit's rate, 1 if nothing is said; may name arguments.
            feedback: `raise Throttled(...)` halves the number of the job's limit for a while.
            expires: seconds, timedelta or a time with its zone; what did not start by then never does.
            version: of the arguments; raise it where their shape changes, and say by `task.upcast` how
                older ones are brought up.
            fair_key: jobs of one queue take turns by it, whoever has deferred more; may name arguments.
                `hub.weigh(...)` gives a key more turns.
            aliases: former names under which jobs may still wait.
            transactional: the function takes a Session (AsyncSession, if it is a coroutine function)
                whose commit holds its writes, its jobs, its result and the end of the job: all or none.
            executor: "async", "thread" or "process"; default: the loop for a coroutine, else a thread.
            timeout: seconds after which the job is stopped; see docs/executors.md for how.
            memory_mb, cpu_seconds, open_files: what a job in a process may take.
            batch: the function takes a list of up to so many Items, jobs that it does in one call.
            of: what makes `item.args` of a job's arguments: a dataclass, a model, a function; type
                checkers then know what `defer` takes. Default: as the function's list is annotated.
            linger: seconds a call waits for more jobs, unless calls that wait take all slots.
            batch_by: a template over the arguments: only jobs with one text share a call.

        Raises:
            ValueError: the name is taken, a template names no parameter, or a limit cannot be.
            TypeError: the function takes *args, or cannot run in this executor.
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
            if isinstance(target, Task):
                task, unknown = target, set(options)
            else:
                task = self._declare(target, **options)
                unknown = set(task.options_given) - set(DeferOptions.__annotations__)
            if unknown:
                raise TypeError(
                    f"cron got options it does not take here: {', '.join(sorted(unknown))}; "
                    "those of a task go to the decorator that declares it"
                )
            crons.declare(task, schedule, **told)
            return task

        return cast(CronDecorator, declare)

    def _declare(
        self,
        function: Callable[..., Any],
        *,
        name: str | None = None,
        queue: str | None = None,
        retry: RetryValue = False,
        version: int = 1,
        aliases: tuple[str, ...] = (),
        transactional: bool = False,
        executor: ExecutorName | None = None,
        timeout: float | None = None,
        memory_mb: float | None = None,
        cpu_seconds: float | None = None,
        open_files: int | None = None,
        feedback: bool = False,
        **options: Any,
    ) -> Task[..., Any]:
        batching = Batching.declared(function, options, transactional, executor)
        execution = Execution.of(
            function,
            executor=executor,
            timeout=timeout,
            memory_mb=memory_mb,
            cpu_seconds=cpu_seconds,
            open_files=open_files,
        )
        given = {key: value for key, value in options.items() if value is not None}
        make: Any = Task if batching is None else partial(BatchTask, batching=batching)
        task: Task[..., Any] = make(
            function=function,
            name=name or f"{function.__module__}.{function.__qualname__}".replace("<locals>.", ""),
            declared_queue=queue,
            retry=retry,
            options_given=cast(DeferOptions, given),
            aliases=aliases,
            is_transactional=transactional,
            execution=execution,
            has_feedback=feedback,
            version=version,
        )
        self._register(task)
        return task

    def _register(self, task: Task[..., Any]) -> None:
        for name in (task.name, *task.aliases):
            if name in self.tasks and self.tasks[name].function is not task.function:
                raise ValueError(
                    f"task name {name!r} is taken by {self.tasks[name].function.__qualname__}"
                )
            self.tasks[name] = task
