"""Where a task runs: coroutines on the worker's loop, plain functions in its threads."""

import asyncio
import json
import logging
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import Any

from taskhub.queue.arguments import to_json
from taskhub.queue.context import Context, running
from taskhub.queue.task import Task
from taskhub.queue.values import encode

logger = logging.getLogger("taskhub.worker")


class UnreadableArguments(ValueError):
    """What is stored as the job's arguments cannot be given to the task."""


async def run(
    task: Task[..., Any], stored: str, context: Context, threads: ThreadPoolExecutor
) -> str | None:
    """The JSON text of what the task returns; raises whatever the task raises."""
    call = partial(_call, task, stored, context)
    running.set(context)
    if task.is_async:
        answer = await call()
    else:
        # The pool is as large as the worker's concurrency, so a claimed job never waits for a thread.
        loop = asyncio.get_running_loop()
        answer = await loop.run_in_executor(threads, copy_context().run, call)
    return result_text(task, answer)


def _call(task: Task[..., Any], stored: str, context: Context) -> Any:
    try:
        bound = task.parameters.call_with(json.loads(stored), context)
    except (ValueError, TypeError, RecursionError, AttributeError) as error:
        raise UnreadableArguments(f"arguments do not fit task {task.name}: {error}") from error
    return task.function(*bound.args, **bound.kwargs)


def result_text(task: Task[..., Any], answer: Any) -> str | None:
    """`answer` as JSON text, or None where it is None or cannot be kept; the job is done either way."""
    if answer is None:
        return None
    try:
        wanted = task.parameters.returns if type(answer) is not dict else Any
        kept = encode(answer, wanted, "result")
        return to_json({"result": kept}, task.hub.settings.max_args_bytes)[len('{"result":') : -1]
    except (TypeError, ValueError, RecursionError) as error:
        logger.warning("result not kept", extra={"task": task.name, "reason": str(error)})
        return None
