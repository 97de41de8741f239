"""Where a task runs: coroutines on the worker's loop, plain functions in its threads, both in children."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any

from taskhub.queue import observers, sealing, transactional
from taskhub.queue.acks import Claimed
from taskhub.queue.arguments import to_json
from taskhub.queue.attempts import Failure
from taskhub.queue.context import Context, running
from taskhub.queue.execution import Execution, TaskTimeout
from taskhub.queue.retries import Again
from taskhub.queue.task import Task
from taskhub.queue.values import encode

if TYPE_CHECKING:
    from taskhub.queue.children import Children
    from taskhub.queue.hub import Hub

logger = logging.getLogger("taskhub.worker")


class FailedInChild(Exception):
    """What a task raised in a child process, as it was told there; `again` None: it has failed."""

    def __init__(self, failure: Failure, again: Again | None) -> None:
        super().__init__(f"{failure.error_class}: {failure.error_message}")
        self.failure = failure
        self.again = again


class Pools:
    """What one worker runs its jobs in.

    Attributes:
        deserted: coroutines that swallow their cancel: their jobs have failed, and they go on.
        overdue: how jobs failed whose threads go on after their timeout and its grace; they keep
            their slots.
        tell: called when one of the two has changed.
    """

    def __init__(self, hub: Hub, concurrency: int) -> None:
        # As large as the worker's concurrency, so that a claimed job never waits for a thread.
        self.threads = ThreadPoolExecutor(concurrency, thread_name_prefix="taskhub-job")
        self.grace_seconds = hub.settings.timeout_grace_seconds
        self.deserted: set[asyncio.Task[Any]] = set()
        self.overdue: dict[int, TaskTimeout] = {}
        self.tell: Callable[[], None] = lambda: None
        self._hub = hub
        self._concurrency = concurrency
        self._unknown: set[tuple[str, int]] = set()
        self._children: Children | None = None

    def warn_unknown(self, job: Claimed) -> None:
        """Log that no task here can take this job; once for each task and version."""
        known = (job.task_name, job.version or 1)
        if known not in self._unknown:
            self._unknown.add(known)
            logger.warning(
                "task is not known here, its jobs wait for a worker that knows it",
                extra={"job_id": job.id, "task": job.task_name, "version": known[1]},
            )

    @property
    def children(self) -> Children:
        """The child processes; none is started before the first job that needs one."""
        if self._children is None:
            from taskhub.queue.children import Children

            self._children = Children(self._hub, self._concurrency)
        return self._children

    def counts(self) -> tuple[int, int]:
        """How many threads are overdue, and how many coroutines are left behind."""
        return len(self.overdue), len(self.deserted)

    def desert(self, late: asyncio.Task[Any]) -> None:
        """Leave a coroutine behind, and forget it when it ends."""
        self.deserted.add(late)
        late.add_done_callback(self._on_deserted_end)
        self.tell()

    def _on_deserted_end(self, late: asyncio.Task[Any]) -> None:
        self.deserted.discard(late)
        if not late.cancelled():
            late.exception()  # or asyncio complains that nobody looked at it
        self.tell()

    def close(self, *, wait: bool) -> None:
        """Leave no child behind, and wait for the threads unless they are to be left."""
        if self._children is not None:
            self._children.close()
        self.threads.shutdown(wait=wait, cancel_futures=True)


async def run(task: Task[..., Any], job: Claimed, context: Context, pools: Pools) -> str | None:
    """The JSON text of what the task returns; raises whatever the task raises.

    A transactional task gives None: its outcome is stored.
    """
    running.set(context)
    if context.hub.observers:
        with observers.attempt(context.hub.observers, job, context):
            return await _run(task, job, context, pools)
    return await _run(task, job, context, pools)


async def _run(task: Task[..., Any], job: Claimed, context: Context, pools: Pools) -> str | None:
    if task.execution is not None:
        if task.execution.executor == "process":
            if task.parameters.secrets:
                sealing.check_keys(task, job.args, context)
            return await pools.children.run(task, job, context)
        answer = await _within(task.execution, task, job, context, pools)
    elif task.is_async:
        answer = await _entry(task)(job.args, context)
    else:
        loop = asyncio.get_running_loop()
        answer = await loop.run_in_executor(
            pools.threads, copy_context().run, _entry(task), job.args, context
        )
    return None if answer is None else result_text(task, answer)


def _entry(task: Task[..., Any]) -> Callable[[str, Context], Any]:
    """What is called with the stored arguments and the context."""
    if not task.is_transactional:
        return task.call
    return partial(transactional.run_async if task.is_async else transactional.run, task)


async def _within(
    execution: Execution, task: Task[..., Any], job: Claimed, context: Context, pools: Pools
) -> Any:
    """What the task returns, if it does in time."""
    if execution.timeout is None:
        raise RuntimeError("a task without a timeout takes the short way")
    if execution.executor == "async":
        return await _on_the_loop(execution.timeout, task, job, context, pools)
    return await _in_a_thread(execution.timeout, task, job, context, pools)


async def _on_the_loop(
    seconds: float, task: Task[..., Any], job: Claimed, context: Context, pools: Pools
) -> Any:
    inner = asyncio.ensure_future(_entry(task)(job.args, context))
    try:
        await asyncio.wait([inner], timeout=seconds)
        if inner.done():
            return inner.result()
        inner.cancel()
        await asyncio.wait([inner], timeout=pools.grace_seconds)
    except asyncio.CancelledError:
        inner.cancel()
        await asyncio.wait([inner])
        if inner.cancelled():
            raise
        return inner.result()
    if not inner.done():
        pools.desert(inner)
        logger.error(
            "a late coroutine swallows its cancel and is left behind",
            extra={"job_id": job.id, "task": task.name, "left_behind": len(pools.deserted)},
        )
        raise TaskTimeout(seconds, ", and the coroutine swallows its cancel")
    if inner.cancelled():
        raise TaskTimeout(seconds)
    return inner.result()


async def _in_a_thread(
    seconds: float, task: Task[..., Any], job: Claimed, context: Context, pools: Pools
) -> Any:
    """A thread cannot be stopped: a late one is told, and keeps its slot until it ends."""
    loop = asyncio.get_running_loop()
    inner = loop.run_in_executor(pools.threads, copy_context().run, _entry(task), job.args, context)
    await asyncio.wait([inner], timeout=seconds)
    if inner.done():
        return inner.result()
    was_cancelled, context.cancelled = context.cancelled, True
    await asyncio.wait([inner], timeout=pools.grace_seconds)
    if not inner.done():
        pools.overdue[job.id] = TaskTimeout(seconds)
        pools.tell()
        logger.error(
            "a late job runs in a thread, which cannot be stopped; it keeps its slot",
            extra={"job_id": job.id, "task": task.name, "overdue": len(pools.overdue)},
        )
        try:
            await asyncio.wait([inner])
        finally:
            pools.overdue.pop(job.id, None)
            pools.tell()
    context.cancelled = was_cancelled
    error = inner.exception()
    if error is None and task.is_transactional:
        return None  # it was committing when its time was up, and the job has ended with it
    raise TaskTimeout(seconds) from error


def result_text(task: Task[..., Any], answer: Any) -> str | None:
    """`answer` as JSON text, or None where it cannot be kept; the job is done either way."""
    try:
        wanted = task.parameters.returns if type(answer) is not dict else Any
        kept = encode(answer, wanted, "result")
        return to_json({"result": kept}, task.hub.settings.max_args_bytes)[len('{"result":') : -1]
    except (TypeError, ValueError, RecursionError) as error:
        logger.warning("result not kept", extra={"task": task.name, "reason": str(error)})
        return None
