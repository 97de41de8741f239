"""Tasks declared before there is a hub: a family of tasks in a module of its own."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, cast, overload

from taskhub.queue.context import Context
from taskhub.queue.execution import Execution, ExecutorName
from taskhub.queue.retries import RetryValue
from taskhub.queue.task import DeferOptions, Task

P = ParamSpec("P")
R = TypeVar("R")


class TaskDecorator(Protocol):
    """Turns a function, sync or async, with or without a Context, into a Task."""

    @overload
    def __call__(
        self, function: Callable[Concatenate[Context, P], Coroutine[Any, Any, R]], /
    ) -> Task[P, R]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[Context, P], R], /) -> Task[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> Task[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Task[P, R]: ...


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
        queueing_lock: str | None = None,
        aliases: tuple[str, ...] = (),
        executor: ExecutorName | None = None,
        timeout: float | None = None,
        memory_mb: float | None = None,
        cpu_seconds: float | None = None,
        open_files: int | None = None,
    ) -> TaskDecorator: ...

    def task(self, *functions: Any, **declared: Any) -> Any:
        """Declare a task; bare or with options.

        Args:
            name: how it is stored with its jobs; default: the function's dotted path.
            queue: where its jobs wait; a route of the settings wins over it.
            retry: Backoff, a number of retries, True, or procrastinate's RetryStrategy; a task
                without it is not run again when its code fails.
            lock: jobs with one lock run one at a time; may name arguments.
            aliases: former names under which jobs may still wait.
            executor: "async", "thread" or "process"; default: the loop for a coroutine, else a thread.
            timeout: seconds after which the job is stopped; see docs/executors.md for how.
            memory_mb, cpu_seconds, open_files: what a job in a process may take.

        Raises:
            ValueError: the name is taken, a template names no parameter, or a limit cannot be.
            TypeError: the function takes *args, or cannot run in this executor.
        """

        def declare(target: Callable[..., Any]) -> Task[..., Any]:
            return self._declare(target, **declared)

        return declare(*functions) if functions else declare

    def _declare(
        self,
        function: Callable[..., Any],
        *,
        name: str | None = None,
        queue: str | None = None,
        retry: RetryValue = False,
        aliases: tuple[str, ...] = (),
        executor: ExecutorName | None = None,
        timeout: float | None = None,
        memory_mb: float | None = None,
        cpu_seconds: float | None = None,
        open_files: int | None = None,
        **options: Any,
    ) -> Task[..., Any]:
        execution = Execution.of(
            function,
            executor=executor,
            timeout=timeout,
            memory_mb=memory_mb,
            cpu_seconds=cpu_seconds,
            open_files=open_files,
        )
        given = {key: value for key, value in options.items() if value is not None}
        task: Task[..., Any] = Task(
            function=function,
            name=name or f"{function.__module__}.{function.__qualname__}".replace("<locals>.", ""),
            declared_queue=queue,
            retry=retry,
            options_given=cast(DeferOptions, given),
            aliases=aliases,
            execution=execution,
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
