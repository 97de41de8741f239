"""A task of a procrastinate App, called as procrastinate's own worker calls it."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import queue
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from asgiref.sync import SyncToAsync
from procrastinate import exceptions, jobs, middleware, tasks
from procrastinate.job_context import JobContext

from taskhub.queue.arguments import Parameters
from taskhub.queue.context import Context
from taskhub.queue.foreign_worker import StandIn, serving
from taskhub.queue.options import DeferOptions
from taskhub.queue.reading import UnreadableArguments
from taskhub.queue.task import Task

if TYPE_CHECKING:
    from taskhub.queue.hub import Hub


@dataclass(frozen=True)
class AppParameters(Parameters):
    """What an App's task takes: nothing is converted, and its JobContext is not for the caller."""

    pass_context: bool = False

    @cached_property
    def _hints(self) -> dict[str, Any]:
        # procrastinate never evaluates annotations, so they may be anything.
        return {}

    @cached_property
    def context_name(self) -> str | None:
        """The first parameter, where the task was declared with pass_context."""
        return next(iter(self._all.parameters), None) if self.pass_context else None


@dataclass(frozen=True, eq=False)
class AppTask(Task[..., Any]):
    """A task of an App, called as procrastinate's own worker calls it."""

    theirs: tasks.Task[..., Any, Any] = field(kw_only=True)

    @classmethod
    def of(cls, theirs: tasks.Task[..., Any, Any], hub: Hub) -> AppTask:
        """The App's task as one of the hub's."""
        options = DeferOptions(priority=theirs.priority)
        # A lock is text in procrastinate, and its braces mean nothing.
        if theirs.lock is not None:
            options["lock"] = _literal(theirs.lock)
        if theirs.queueing_lock is not None:
            options["queueing_lock"] = _literal(theirs.queueing_lock)
        return cls(
            function=theirs.func,
            name=theirs.name,
            declared_queue=theirs.queue,
            retry=theirs.retry_strategy or False,
            options_given=options,
            aliases=tuple(theirs.aliases),
            theirs=theirs,
            _home=[hub],
        )

    def __post_init__(self) -> None:
        """Nothing to check: procrastinate has taken the task as it is."""

    @cached_property
    def parameters(self) -> Parameters:
        """What the function takes."""
        return AppParameters(self.function, pass_context=self.theirs.pass_context)

    def call(self, stored: str, context: Context, _: Any = None) -> Any:
        """Call the function in its middleware, with its JobContext if it asks for it.

        Raises:
            UnreadableArguments: what is stored is no JSON object.
        """
        stand_in = serving.get()
        stand_in.worker_id = context.worker_id
        job_context = _job_context(stand_in, self._read(stored, stand_in), context)
        run = _Run(stand_in, self.theirs, job_context, context)
        return run.on_the_loop() if self.is_async else run.in_this_thread()

    def _read(self, stored: str, stand_in: StandIn) -> dict[str, Any]:
        connector = stand_in.app.connector
        loads = getattr(connector, "_json_loads", None) or connector.json_loads or json.loads
        try:
            arguments = loads(stored)
        except (ValueError, RecursionError) as error:
            raise UnreadableArguments(str(error)) from error
        if not isinstance(arguments, dict):
            raise UnreadableArguments(f"arguments must be a JSON object, got {stored:.100}")
        return arguments


def _literal(lock: str) -> str:
    return lock.replace("{", "{{").replace("}", "}}")


def _job_context(
    stand_in: StandIn,
    arguments: dict[str, Any],
    context: Context,
) -> JobContext:
    job = stand_in.claimed(context)
    return JobContext(
        app=stand_in.app,
        worker_name=stand_in.worker_name,
        worker_queues=stand_in.queues,
        additional_context=dict(stand_in.additional_context or {}),
        job=jobs.Job(
            id=context.job_id,
            status=jobs.Status.DOING.value,
            queue=context.queue,
            priority=job.priority,
            lock=job.lock,
            queueing_lock=job.queueing_lock,
            task_name=context.task_name,
            task_kwargs=arguments,
            scheduled_at=job.scheduled_at,
            attempts=context.attempt - 1,
            worker_id=context.worker_id,
        ),
        abort_reason=lambda: stand_in.abort_reason(context),
        start_timestamp=time.time(),
    )


@dataclass(frozen=True, slots=True)
class _Run:
    """One call of one task: worker middleware outside, on the loop; task middleware inside."""

    stand_in: StandIn
    theirs: tasks.Task[..., Any, Any]
    job_context: JobContext
    context: Context

    async def on_the_loop(self) -> Any:
        async def call() -> Any:
            return await self._called()

        async def run_job() -> Any:
            return await _awaited(await self._in_task_middleware(call, is_async=True)())

        try:
            return await self._in_worker_middleware(run_job)()
        except exceptions.JobAborted:
            self._has_aborted()
            raise

    def in_this_thread(self) -> Any:
        """For a worker's job thread: what must be awaited goes to the loop and is waited for."""
        # By these a synchronous defer finds the loop on which the App's connector is open.
        SyncToAsync.threadlocal.main_event_loop = self.stand_in.loop
        SyncToAsync.threadlocal.main_event_loop_pid = os.getpid()
        call = self._in_task_middleware(self._called, is_async=False)
        try:
            if self.stand_in.worker_middleware:
                return self._wrapped_by_the_loop(call)
            answer = call()
            if inspect.isawaitable(answer):
                return asyncio.run_coroutine_threadsafe(
                    _awaited(answer), self.stand_in.loop
                ).result()
            return answer
        except exceptions.JobAborted:
            self._has_aborted()
            raise

    def _called(self) -> Any:
        first = (self.job_context,) if self.theirs.pass_context else ()
        return self.theirs(*first, **self.job_context.job.task_kwargs)

    def _in_task_middleware(self, call: Callable[[], Any], *, is_async: bool) -> Callable[[], Any]:
        around = self.stand_in._resolve_task_middlewares(self.theirs, is_async)  # noqa: SLF001 - its own rule
        return middleware.compose(around, call, self.job_context, self.stand_in)

    def _in_worker_middleware(self, call: Callable[[], Any]) -> Callable[[], Any]:
        return middleware.compose(
            self.stand_in.worker_middleware, call, self.job_context, self.stand_in
        )

    def _has_aborted(self) -> None:
        # A task may abort itself, without anybody having asked.
        self.context.cancelled = True

    def _wrapped_by_the_loop(self, call: Callable[[], Any]) -> Any:
        """Worker middleware runs on the loop; the task, each time it is called, in this thread."""
        asked: queue.SimpleQueue[asyncio.Future[Any] | None] = queue.SimpleQueue()
        loop = self.stand_in.loop

        async def run_job() -> Any:
            answer = loop.create_future()
            asked.put(answer)
            return await _awaited(await answer)

        whole = asyncio.run_coroutine_threadsafe(
            _awaited(self._in_worker_middleware(run_job)()), loop
        )
        whole.add_done_callback(lambda _: asked.put(None))
        while (answer := asked.get()) is not None:
            try:
                value = call()
            except BaseException as error:  # noqa: BLE001 - it is raised where it is awaited
                loop.call_soon_threadsafe(_settle, answer, None, error)
            else:
                loop.call_soon_threadsafe(_settle, answer, value, None)
        return whole.result()


def _settle(answer: asyncio.Future[Any], value: Any, error: BaseException | None) -> None:
    if answer.done():  # the middleware was cancelled meanwhile
        return
    if error is None:
        answer.set_result(value)
    elif isinstance(error, StopIteration):  # no future takes it
        answer.set_exception(RuntimeError("the task raised StopIteration"))
    else:
        answer.set_exception(error)


async def _awaited(answer: Any) -> Any:
    return await answer if inspect.isawaitable(answer) else answer
