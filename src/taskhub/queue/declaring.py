"""What can be said of a task where it is declared, and the task that comes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Required, TypedDict, cast

from taskhub.queue.batch_task import Batching, BatchTask
from taskhub.queue.execution import Execution, ExecutorName
from taskhub.queue.options import DeferOptions
from taskhub.queue.retries import RetryValue
from taskhub.queue.task import Task
from taskhub.queue.unique import OnConflict, Until, Window


class AnyOptions(TypedDict, total=False):
    """Options of every task.

    Keys:
        name: how it is stored with its jobs; default: the function's dotted path.
        queue: where its jobs wait; a route of the settings wins over it.
        retry: Backoff, a number of retries, True, or procrastinate's RetryStrategy; a task
            without it is not run again when its code fails.
        lock: jobs with one lock run one at a time; may name arguments.
        strict: the jobs of the lock run in the order of their ids, whatever waits for its time.
        limit: jobs with one limit run at most `at_most` at once, in the whole fleet; may name
            arguments. `hub.limit(...)` changes the number for one key at run time; without
            `at_most` only that limits.
        tokens: what a job takes of its limit's rate, 1 if nothing is said; may name arguments.
        feedback: `raise Throttled(...)` halves the number of the job's limit for a while.
        fair_key: jobs of one queue take turns by it, whoever has deferred more; may name arguments.
            `hub.weigh(...)` gives a key more turns.
        unique, unique_until, unique_for, on_conflict, cache: which job keeps another one out; see
            DeferOptions and docs/unique.md.
        expires: seconds, timedelta or a time with its zone; what did not start by then never does.
        version: of the arguments; raise it where their shape changes, and say by `task.upcast` how
            older ones are brought up.
        aliases: former names under which jobs may still wait.
        timeout: seconds after which the job is stopped; see docs/executors.md for how.
        index_args: names of arguments that jobs are searched by, exactly, however many there are:
            texts of at most 200 characters, numbers, booleans.
    """

    name: str | None
    queue: str | None
    retry: RetryValue
    priority: int
    lock: str | None
    strict: bool | None
    limit: str | None
    at_most: int | None
    tokens: int | str | None
    feedback: bool
    fair_key: str | None
    queueing_lock: str | None
    unique: str | None
    unique_until: Until | None
    unique_for: Window | None
    on_conflict: OnConflict | None
    cache: Window | None
    expires: float | timedelta | datetime | None
    version: int
    aliases: tuple[str, ...]
    timeout: float | None
    index_args: Sequence[str]


class TaskOptions(AnyOptions, total=False):
    """Options of a task that does one job a call.

    Keys:
        transactional: the function takes a Session (AsyncSession, if it is a coroutine function)
            whose commit holds its writes, its jobs, its result and the end of the job: all or none.
        executor: "async", "thread" or "process"; default: the loop for a coroutine, else a thread.
        memory_mb, cpu_seconds, open_files: what a job in a process may take.
    """

    transactional: bool
    executor: ExecutorName | None
    memory_mb: float | None
    cpu_seconds: float | None
    open_files: int | None


class BatchOptions(AnyOptions, total=False):
    """Options of a task that does many jobs a call; with `of=`, what makes `item.args` of a job's arguments:
    a dataclass, a model, a function; type checkers then know what `defer` takes.

    Keys:
        batch: the function takes a list of up to so many Items, jobs that it does in one call.
        linger: seconds a call waits for more jobs, unless calls that wait take all slots.
        batch_by: a template over the arguments: only jobs with one text share a call.
    """

    batch: Required[int]
    linger: float | None
    batch_by: str | None


OPTIONS = frozenset({*TaskOptions.__annotations__, *BatchOptions.__annotations__, "of"})
# What is the task's own; the others are of its jobs, and `options()` may change them.
_OF_EXECUTION = ("executor", "timeout", "memory_mb", "cpu_seconds", "open_files")


def made(function: Callable[..., Any], declared: Mapping[str, Any]) -> Task[..., Any]:
    """The task of a function, with these options.

    Raises:
        TypeError, ValueError: as Blueprint.task says.
    """
    options = dict(declared)
    if unknown := set(options) - OPTIONS:
        raise TypeError(
            f"task must be given options that it has, got {', '.join(sorted(unknown))}; "
            f"known are {', '.join(sorted(OPTIONS))}"
        )
    name = options.pop("name", None)
    is_transactional = options.pop("transactional", False)
    batching = Batching.declared(function, options, is_transactional, options.get("executor"))
    execution = Execution.of(function, **{key: options.pop(key, None) for key in _OF_EXECUTION})
    make: Any = Task if batching is None else partial(BatchTask, batching=batching)
    task: Task[..., Any] = make(
        function=function,
        name=name or f"{function.__module__}.{function.__qualname__}".replace("<locals>.", ""),
        declared_queue=options.pop("queue", None),
        retry=options.pop("retry", False),
        aliases=options.pop("aliases", ()),
        is_transactional=is_transactional,
        execution=execution,
        has_feedback=options.pop("feedback", False),
        version=options.pop("version", 1),
        index_args=tuple(options.pop("index_args", ())),
        options_given=cast(
            DeferOptions, {key: value for key, value in options.items() if value is not None}
        ),
    )
    return task
