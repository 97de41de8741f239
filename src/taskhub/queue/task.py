"""A task: a function that can be deferred, with what it asks of the queue."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypedDict, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session
from typing_extensions import Unpack

from taskhub.queue import collector
from taskhub.queue.arguments import Parameters, refuse_star_args
from taskhub.queue.defer import NewJob
from taskhub.queue.execution import Execution, ExecutorName
from taskhub.queue.jobs import Job
from taskhub.queue.limits import check_declared
from taskhub.queue.reading import Reader
from taskhub.queue.retries import RetryValue, strategy
from taskhub.queue.storable import (
    MAX_LOCK_BYTES,
    MAX_NAME_BYTES,
    MAX_TASK_BYTES,
    check_at,
    check_delay,
    check_priority,
    check_text,
)

if TYPE_CHECKING:
    from taskhub.queue.context import Context
    from taskhub.queue.crons import DeclaredCron
    from taskhub.queue.hub import Hub

P = ParamSpec("P")
R = TypeVar("R")


class DeferOptions(TypedDict, total=False):
    """What can be said of one job, over what its task declares.

    Keys:
        queue: at most 40 bytes.
        priority: the higher runs first; 0 if nothing is said.
        lock: jobs with one lock run one at a time; may name arguments, "document:{document_id}".
        limit: jobs with one limit run at most `at_most` at once, in the whole fleet; may name arguments.
        at_most: how many, unless `hub.limit(...)` says otherwise for the key.
        queueing_lock: at most one job with it may wait; another one is refused.
        delay: seconds or timedelta from now, on the database's clock.
        at: a time with its zone, instead of delay.
        session: the SQLAlchemy Session, AsyncSession or Connection whose transaction the job joins.
        connection: or a psycopg connection, sync or async.
        autocommit: the job commits by itself, whatever is open around it.
    """

    queue: str
    priority: int
    lock: str
    limit: str
    at_most: int
    queueing_lock: str
    delay: float | timedelta
    at: datetime
    session: Any
    connection: Any
    autocommit: bool


# Two tasks are never equal, and a task stands in sets and dicts: identity is all there is to it.
@dataclass(frozen=True, eq=False)
class Task(Generic[P, R]):
    """What `@hub.task` makes of a function; calling it runs the function, here and now."""

    function: Callable[..., Any]
    name: str
    declared_queue: str | None = None
    retry: RetryValue = False
    options_given: DeferOptions = field(default_factory=DeferOptions)
    aliases: tuple[str, ...] = ()
    is_transactional: bool = False
    crons: list[DeclaredCron] = field(default_factory=list)
    execution: Execution | None = None
    _home: list[Hub] = field(default_factory=list)

    def __post_init__(self) -> None:
        refuse_star_args(self.function)
        strategy(self.retry)
        check_text(self.name, "task name", MAX_TASK_BYTES)
        if self.declared_queue is not None:
            check_text(self.declared_queue, "queue", MAX_NAME_BYTES)
        self._check_templates(self.options_given)
        if self.is_transactional or self.parameters.session_name is not None:
            self._check_session()

    def _check_session(self) -> None:
        name = self.parameters.session_name
        if not self.is_transactional:
            raise TypeError(
                f"parameter {name!r} is a session, which only a task with transactional=True is given"
            )
        if self.execution is not None and self.execution.executor == "process":
            raise TypeError(
                "a transactional task must run on the loop or in a thread; a child process has no "
                'session of the worker\'s: drop executor="process"'
            )
        wanted = AsyncSession if self.is_async else Session
        if name is None or not issubclass(self.parameters.hint(name), wanted):
            raise TypeError(
                f"a transactional task must take a {wanted.__name__} as its first parameter, or as the "
                "second one behind a Context, and be annotated so"
            )

    def _check_templates(self, options: DeferOptions) -> None:
        for key in ("lock", "queueing_lock", "limit"):
            if template := options.get(key):
                self.parameters.check_template(str(template), key)
        check_declared({**self.options_given, **options})

    @cached_property
    def parameters(self) -> Parameters:
        """What the function takes."""
        return Parameters(self.function)

    @cached_property
    def is_async(self) -> bool:
        """Whether calling it makes a coroutine."""
        return inspect.iscoroutinefunction(self.function)

    @cached_property
    def executor(self) -> ExecutorName:
        """Where it runs: on the worker's event loop, in one of its threads, in a child process."""
        if self.execution is not None:
            return self.execution.executor
        return "async" if self.is_async else "thread"

    @cached_property
    def _reader(self) -> Reader:
        return Reader.of(self.parameters)

    def call(self, stored: str, context: Context, session: Any = None) -> Any:
        """Call the function for a worker, with what is stored; a coroutine if it is asynchronous.

        Raises:
            UnreadableArguments: what is stored does not fit the function; it was not called.
        """
        args, kwargs = self._reader.read(stored, context, session)
        return self.function(*args, **kwargs)

    @property
    def hub(self) -> Hub:
        """The hub it was declared on, or whose `add` took its blueprint.

        Raises:
            RuntimeError: none has.
        """
        if not self._home:
            raise RuntimeError(
                f"task {self.name!r} belongs to no hub yet; call hub.add(blueprint) first"
            )
        return self._home[0]

    @property
    def queue(self) -> str:
        """The queue of its jobs: by the routes of the settings, else as declared, else "default"."""
        return self.hub.route(self.name) or self.declared_queue or "default"

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Run the function without the queue; a task with a Context takes it as first argument."""
        return self.function(*args, **kwargs)

    def options(self, **options: Unpack[DeferOptions]) -> Task[P, R]:
        """The same task with other options for the jobs deferred through what this returns."""
        unknown = set(options) - set(DeferOptions.__annotations__)
        if unknown:
            known = ", ".join(DeferOptions.__annotations__)
            raise TypeError(f"options must be some of {known}; got {', '.join(sorted(unknown))}")
        self._check_templates(options)
        # A copy keeps what was found out about the function, which takes longer than a round trip.
        _ = self.parameters
        other = copy.copy(self)
        object.__setattr__(other, "options_given", {**self.options_given, **options})
        return other

    def defer(self, *args: P.args, **kwargs: P.kwargs) -> Job[R]:
        """Store a job with these arguments, in the transaction that is open here.

        Without one, and without `session=`, the job commits by itself. One round trip.

        Raises:
            TypeError: the arguments do not fit the function's signature.
            BadArgument: Postgres cannot hold one of them. Both come before any SQL.
            AmbiguousTransaction: more than one transaction may be meant.
            OtherDatabase: the session is one to another database.
        """
        [job_id] = self.hub.insert(self.options_given, [self.new_job(args, kwargs)])
        return self._deferred(job_id)

    delay = defer

    async def defer_async(self, *args: P.args, **kwargs: P.kwargs) -> Job[R]:
        """As `defer`, for asynchronous sessions and connections."""
        [job_id] = await self.hub.insert_async(self.options_given, [self.new_job(args, kwargs)])
        return self._deferred(job_id)

    def defer_many(self, arguments: Iterable[Mapping[str, Any]]) -> list[Job[R]]:
        """Store one job for each mapping of arguments, in their order, in one transaction.

        All are checked before the first is sent: one bad item, named by its place, stores none. By
        COPY where the connection is psycopg's, else a thousand a statement; so are jobs with a
        queueing_lock.
        """
        jobs = self._new_jobs(arguments)
        return self._all_deferred(self.hub.insert(self.options_given, jobs))

    async def defer_many_async(self, arguments: Iterable[Mapping[str, Any]]) -> list[Job[R]]:
        """As `defer_many`, for asynchronous sessions and connections."""
        jobs = self._new_jobs(arguments)
        return self._all_deferred(await self.hub.insert_async(self.options_given, jobs))

    def _new_jobs(self, arguments: Iterable[Mapping[str, Any]]) -> list[NewJob]:
        write = self._row()
        jobs = []
        with collector.paused():
            for n, given in enumerate(arguments):
                try:
                    jobs.append(write((), given))
                except (TypeError, ValueError) as error:
                    raise type(error)(f"item {n}: {error}") from error
        return jobs

    def new_job(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> NewJob:
        """The row of a job with these arguments, checked."""
        return self._row()(args, kwargs)

    def _row(self) -> Callable[[tuple[Any, ...], Mapping[str, Any]], NewJob]:
        """What makes a row of arguments; whatever all rows have in common is checked here, once."""
        options = self.options_given
        delay, at = options.get("delay"), options.get("at")
        if delay is not None and at is not None:
            raise TypeError("give delay or at, not both")
        seconds = delay.total_seconds() if isinstance(delay, timedelta) else delay
        delay_seconds = None if seconds is None else check_delay(seconds)
        at = None if at is None else check_at(at)
        queue = check_text(self._queue, "queue", MAX_NAME_BYTES)
        priority = check_priority(options.get("priority", 0))
        name, parameters, max_bytes = self.name, self.parameters, self.hub.settings.max_args_bytes
        is_locked = "lock" in options or "queueing_lock" in options or "limit" in options
        at_most = options.get("at_most")

        def row(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> NewJob:
            text, given = parameters.write(args, kwargs, max_bytes)
            lock = self._filled("lock", given) if is_locked else None
            twin = self._filled("queueing_lock", given) if is_locked else None
            key = self._filled("limit", given) if is_locked else None
            return NewJob(queue, name, priority, lock, twin, text, delay_seconds, at, key, at_most)

        return row

    def _filled(self, key: str, given: Mapping[str, Any]) -> str | None:
        template = self.options_given.get(key)
        if template is None:
            return None
        return check_text(self.parameters.fill(str(template), given), key, MAX_LOCK_BYTES)

    @property
    def _queue(self) -> str:
        return self.options_given.get("queue", self.queue)

    def _deferred(self, job_id: int) -> Job[R]:
        self.hub.tell_deferred(job_id, self.name, self._queue)
        return Job(job_id, self.name, self.hub)

    def _all_deferred(self, job_ids: list[int]) -> list[Job[R]]:
        queue, name, hub = self._queue, self.name, self.hub
        if hub.hooks.wanted("job.deferred"):
            for job_id in job_ids:
                hub.tell_deferred(job_id, name, queue)
        with collector.paused():
            return [Job(job_id, name, hub) for job_id in job_ids]
