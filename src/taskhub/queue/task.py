"""A task: a function that can be deferred, with what it asks of the queue."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session
from typing_extensions import Unpack

from taskhub.queue import collector
from taskhub.queue.arguments import Parameters, refuse_star_args
from taskhub.queue.execution import Execution, ExecutorName
from taskhub.queue.expiry import read_expires
from taskhub.queue.index_args import check_index_args
from taskhub.queue.jobs import Job
from taskhub.queue.limits import check_declared
from taskhub.queue.options import TEMPLATES, DeferOptions, row_writer
from taskhub.queue.reading import Reader
from taskhub.queue.retries import RetryValue, strategy
from taskhub.queue.rows import NewJob
from taskhub.queue.storable import MAX_NAME_BYTES, MAX_TASK_BYTES, check_text
from taskhub.queue.strictness import check_strict
from taskhub.queue.unique import JobIds, Uniqueness
from taskhub.queue.versions import Upcaster, check_step, check_version

if TYPE_CHECKING:
    from taskhub.queue.context import Context
    from taskhub.queue.crons import DeclaredCron
    from taskhub.queue.hub import Hub

P = ParamSpec("P")
R = TypeVar("R")


class NoHub(RuntimeError):
    """A task of a blueprint that no hub has taken was to be deferred."""


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
    has_feedback: bool = False
    version: int = 1
    upcasters: dict[int, Upcaster] = field(default_factory=dict)
    index_args: tuple[str, ...] = ()
    _home: list[Hub] = field(default_factory=list)

    def __post_init__(self) -> None:
        refuse_star_args(self.function)
        strategy(self.retry)
        check_version(self.version)
        check_text(self.name, "task name", MAX_TASK_BYTES)
        if self.declared_queue is not None:
            check_text(self.declared_queue, "queue", MAX_NAME_BYTES)
        self._check_templates(self.options_given)
        if self.is_transactional or self.parameters.session_name is not None:
            self._check_session()
        _ = self.parameters.secrets  # read for its error
        check_index_args(self.index_args, self.parameters)

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
        for key in TEMPLATES:
            if template := options.get(key):
                self.parameters.check_template(str(template), key)
        if isinstance(tokens := options.get("tokens"), str):
            self.parameters.check_template(tokens, "tokens")
        told = {**self.options_given, **options}
        check_declared(told, self.has_feedback)
        check_strict(told)
        read_expires(told.get("expires"), None, None)
        Uniqueness.of(told)
        if told.get("cache") is not None and self.parameters.secrets:
            named = ", ".join(sorted(self.parameters.secrets))
            raise TypeError(
                f"cache must go without secret parameters, got {named}: what is encrypted is never the same "
                "twice; name the others by unique="
            )

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

    @property
    def stored_version(self) -> int | None:
        """The version as it is stored with jobs: None is 1."""
        return None if self.version == 1 else self.version

    def upcast(self, version: int, /) -> Callable[[Upcaster], Upcaster]:
        """Declare how arguments of `version` become those of the next one; called before they are read.

        The function gets the stored arguments by name, as JSON gives them, and returns the new ones.

        Raises:
            ValueError: the version is not below the task's own, or has a step already.
        """
        check_step(self, version)

        def declare(step: Upcaster) -> Upcaster:
            self.upcasters[version] = step
            return step

        return declare

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
            NoHub: none has.
        """
        if not self._home:
            raise NoHub(f"task {self.name!r} belongs to no hub yet; call hub.add(blueprint) first")
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
            UniqueKeyBusy: another transaction may have taken its unique key; nothing was stored.
        """
        return self._deferred(self.hub.insert(self.options_given, [self.new_job(args, kwargs)]))

    delay = defer

    async def defer_async(self, *args: P.args, **kwargs: P.kwargs) -> Job[R]:
        """As `defer`, for asynchronous sessions and connections."""
        return self._deferred(
            await self.hub.insert_async(self.options_given, [self.new_job(args, kwargs)])
        )

    def defer_many(self, arguments: Iterable[Mapping[str, Any]]) -> list[Job[R]]:
        """Store one job for each mapping of arguments, in their order, in one transaction.

        All are checked before the first is sent: one bad item, named by its place, stores none. By
        COPY where the connection is psycopg's, else a thousand a statement; so are jobs with a
        queueing_lock or a unique key. A later one of two with one unique key is the earlier's Job.
        """
        jobs = self._new_jobs(arguments)
        return self._all_deferred(self.hub.insert(self.options_given, jobs))

    async def defer_many_async(self, arguments: Iterable[Mapping[str, Any]]) -> list[Job[R]]:
        """As `defer_many`, for asynchronous sessions and connections."""
        jobs = self._new_jobs(arguments)
        return self._all_deferred(await self.hub.insert_async(self.options_given, jobs))

    def _new_jobs(self, arguments: Iterable[Mapping[str, Any]]) -> list[NewJob]:
        write = row_writer(self, self.options_given, self._queue)
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
        return row_writer(self, self.options_given, self._queue)(args, kwargs)

    @property
    def _queue(self) -> str:
        return self.options_given.get("queue", self.queue)

    def _deferred(self, ids: JobIds) -> Job[R]:
        [job_id] = ids
        if is_new := not ids.kept:
            self.hub.tell_deferred(job_id, self.name, self._queue)
        return Job(job_id, self.name, self.hub, is_new)

    def _all_deferred(self, ids: JobIds) -> list[Job[R]]:
        queue, name, hub = self._queue, self.name, self.hub
        if hub.hooks.wanted("job.deferred"):
            for job_id in ids.new():
                hub.tell_deferred(job_id, name, queue)
        with collector.paused():
            if not ids.kept:
                return [Job(job_id, name, hub) for job_id in ids]
            return [Job(job_id, name, hub, n not in ids.kept) for n, job_id in enumerate(ids)]
